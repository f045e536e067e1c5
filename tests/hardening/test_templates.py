"""Chat templates of many model families, and of files that nobody can use: judged when the model loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from model.catalogue.load import EngineLimits, open_engine
from model.engine.events import Finished
from model.engine.llama import LEAST_CELLS
from model.engine.protocol import ModelUnusable, Options
from model.prompting.assemble import prompt_for, user_message
from model.prompting.conversation import Conversation, PastTurn
from model.prompting.template import ChatTemplate, TemplateUnusable
from tests.hardening import tiny_granite
from tests.hardening.templates import FAMILIES, UNUSABLE
from tests.model.test_engine import finish

LIMITS = EngineLimits(threads=1, slots=2, cells=2048, disk_bytes=0)
ROLES = ("system", "user", "assistant", "user")
CONTENTS = ("S", "Q1", "A1", "Q2", "")

Write = Callable[[str], Path]


@pytest.fixture(scope="module")
def made(smol: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model file."""
    return tiny_granite.write(tmp_path_factory.mktemp("made") / "made.gguf", smol)


@pytest.fixture
def write(made: Path, tmp_path: Path) -> Write:
    """Writes a small model file with a chat template of the test's."""
    return lambda template: tiny_granite.with_template(tmp_path / "small.gguf", made, template)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_reads_two_turns_and_the_system_message_as_its_template_says(family: str) -> None:
    template, told = FAMILIES[family]
    scaffold = ChatTemplate(template, "<s>", "</s>").scaffold(ROLES)
    assert "".join(before + content for before, content in zip(scaffold, CONTENTS, strict=True)) == told


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_of_any_family_answers_turn_after_turn(write: Write, tmp_path: Path, family: str) -> None:
    engine = open_engine(write(FAMILIES[family][0]), tmp_path, LIMITS)
    try:
        conversation = Conversation.new()
        for question in ("Is it up?", "And now?", "Since when?"):
            asked = user_message(question)
            _, last = finish(engine.submit(prompt_for(engine, conversation, "Be brief.", asked), Options(max_tokens=2)))
            assert (last.reason, last.error) in {("stop", ""), ("length", "")}
            conversation = conversation.with_turn(PastTurn(question, "Yes.", "", asked))
    finally:
        engine.close()


@pytest.mark.parametrize("fault", UNUSABLE)
def test_a_template_that_cannot_be_used_is_refused_at_load_with_what_to_choose(
    write: Write, tmp_path: Path, fault: str
) -> None:
    template, why = UNUSABLE[fault]
    with pytest.raises(ModelUnusable) as refused:
        open_engine(write(template), tmp_path, LIMITS)
    assert why in str(refused.value)
    assert "choose another model with MODEL=" in str(refused.value)


def test_a_model_that_reads_too_little_is_refused_with_the_least_that_works(smol: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=f"at most 512 tokens and {LEAST_CELLS} are needed; choose another model"):
        open_engine(tiny_granite.write(tmp_path / "small.gguf", smol, context=512), tmp_path, LIMITS)


def test_a_template_that_fails_later_in_a_conversation_ends_that_turn_only(write: Write, tmp_path: Path) -> None:
    """It takes two turns and refuses the third: no load finds that out."""
    late = "{% if messages | length > 4 %}{{ raise_exception('Enough') }}{% endif %}" + tiny_granite.TEMPLATE
    engine = open_engine(write(late), tmp_path, LIMITS)
    try:
        longer = Conversation.new()
        for _ in range(2):
            longer = longer.with_turn(PastTurn("Hello", "Yes.", "", user_message("Hello")))
        with pytest.raises(TemplateUnusable, match="Enough"):
            prompt_for(engine, longer, "Be brief.", user_message("And now?"))
        again = prompt_for(engine, Conversation.new(), "Be brief.", user_message("Hello"))
        assert isinstance(list(engine.submit(again, Options(max_tokens=2)))[-1], Finished)
    finally:
        engine.close()


def test_what_a_visitor_types_is_no_code_of_the_template() -> None:
    """Contents never pass through it, whatever they look like."""
    scaffold = ChatTemplate(FAMILIES["gemma-3"][0], "<s>", "</s>").scaffold(["system", "user"])
    assert scaffold == ["<s><start_of_turn>user\n", "\n\n", "<end_of_turn>\n<start_of_turn>model\n"]
