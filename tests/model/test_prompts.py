"""Every text that a model is told stands in one folder, and reaches the prompt; goldens show what a prompt looks like.

To renew the goldens after a change that is meant: RENEW_GOLDENS=1 .venv/bin/python -m pytest tests/model/test_prompts.py
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from model.engine.prompt import Prompt
from model.engine.scripted import CHATML, ScriptedEngine
from model.prompting.assemble import prompt_for, tool_text, user_message
from model.prompting.conversation import Conversation, PastTurn
from model.prompting.system_prompts import PromptTexts, load_prompt_texts
from model.prompting.template import parsed_template
from model.turn.limits import TurnLimits
from model.turn.prewarm import warm_prompts
from model.turn.retrieval import in_english
from model.turn.tool_calling import ToolMenu, menu_prompt
from rag.types import Embedded, SearchResult
from tests.fakes import RHEL10, SERVICES
from tests.prompt_texts import TEXTS
from tools.registry import Registry

FOLDER = Path("onboarding") / "prompts"
GOLDENS = Path(__file__).parent / "goldens"
TOLD = ["brief", "cite", "translate", "menu"]


class Searcher:
    def search(self, text: str, k: int = 5, embedded: Embedded | None = None) -> SearchResult:
        return RHEL10


def rendered(prompt: Prompt) -> str:
    return "".join(segment.text for segment in prompt.segments)


def menu_of(texts: PromptTexts) -> ToolMenu:
    return ToolMenu.of(texts.menu, Registry.default().schemas())


def translation(texts: PromptTexts) -> Prompt:
    engine = ScriptedEngine("Is RHEL 8 supported?", prefill_s=0.0, word_s=0.0)
    list(in_english(engine, "Wird RHEL 8 unterstützt?", texts.translate))
    return engine.prompts[0]


def answer(texts: PromptTexts) -> Prompt:
    earlier = user_message("What does RHEL 10 need?", RHEL10.passages[:1], cite=texts.cite)
    past = PastTurn("What does RHEL 10 need?", "An x86-64-v3 processor [1].", "rhel10", earlier)
    conversation = Conversation("c").with_turn(past)
    told = tool_text([SERVICES], 0.0, TurnLimits().tool_result_chars)
    asked = user_message("Is libvirtd up?", RHEL10.passages[:3], cite=texts.cite, told=told, checked=texts.checked)
    return prompt_for(ScriptedEngine(), conversation, texts.brief, asked)


def test_the_messages_for_a_server_are_the_contents_without_the_scaffolding() -> None:
    prompt = answer(TEXTS)
    assert [role for role, _ in prompt.messages] == ["system", "user", "assistant", "user"]
    assert [text for _, text in prompt.messages[1:]] == [
        user_text("What does RHEL 10 need?", 1), "An x86-64-v3 processor.", prompt.messages[3][1]
    ]  # fmt: skip
    server = ScriptedEngine()
    server.chat_template = ""
    parts = user_message("Is libvirtd up?", RHEL10.passages[:2], cite=TEXTS.cite)
    without = prompt_for(server, Conversation.new(), "Be brief.", parts)
    assert without.messages == (("system", "Be brief."), ("user", user_text("Is libvirtd up?", 2)))
    assert rendered(without) == "Be brief." + user_text("Is libvirtd up?", 2)


def user_text(question: str, passages: int) -> str:
    return "".join(part.text for part in user_message(question, RHEL10.passages[:passages], cite=TEXTS.cite))


def test_a_template_is_parsed_once_for_all_turns_of_an_engine() -> None:
    engine = ScriptedEngine()
    engine.chat_template = CHATML + "{# of this test only #}"
    before = parsed_template.cache_info()
    for question in ("Is libvirtd up?", "And sshd?", "And Airflow?"):
        prompt_for(engine, Conversation.new(), "Be brief.", user_message(question))
    after = parsed_template.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 2)


PROMPTS: dict[str, Callable[[PromptTexts], Prompt]] = {
    "answer": answer,
    "translation": translation,
    "tool_choice": lambda texts: menu_prompt(ScriptedEngine(), menu_of(texts), "Is libvirtd up?", [SERVICES]),
}


@pytest.mark.parametrize("name", sorted(PROMPTS))
def test_a_prompt_is_its_golden_to_the_byte(name: str) -> None:
    golden, text = GOLDENS / f"{name}.txt", rendered(PROMPTS[name](TEXTS))
    if os.environ.get("RENEW_GOLDENS"):
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")


@pytest.mark.parametrize("name", TOLD)
def test_changing_a_text_of_the_folder_changes_a_prompt(tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "prompts"))
    path = next(folder.glob(f"{name}.*"))
    path.write_text(path.read_text("utf-8").rstrip() + " Changed here.\n", "utf-8")
    texts = load_prompt_texts(folder)
    prompts = [*warm_prompts(ScriptedEngine(), texts, Searcher(), menu_of(texts)), translation(texts)]
    assert [text for prompt in prompts if "Changed here." in (text := rendered(prompt))]


@pytest.mark.parametrize("name", ["brief.txt", "cite.txt", "checked.txt", "translate.txt", "menu.txt"])
@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_missing_or_empty_text_is_named_in_one_sentence(tmp_path: Path, name: str, content: str | None) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "prompts"))
    path = folder / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(ValueError) as raised:
        load_prompt_texts(folder)
    assert str(raised.value) == f"{path} is missing or empty; a model is told what stands in it"


def test_a_route_without_a_label_is_named(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "prompts"))
    (folder / "deploy.md").write_text("---\nstarters: []\n---\n")
    with pytest.raises(ValueError, match=r"deploy\.md"):
        load_prompt_texts(folder)
