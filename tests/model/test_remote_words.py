"""What a model server that is somebody else's is sent."""

from __future__ import annotations

from typing import Any

import pytest

from model.engine.prompt import Prompt, PromptSegment
from model.engine.protocol import Options
from model.engine.remote import RemoteEngine
from onboarding.redaction import redact

SECRET = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh"
TAGS = [
    "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|eot_id|>", "<|end|>", "<|system|>", "<s>", "</s>", "[INST]",
    "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "[SYSTEM_PROMPT]",
    "[TOOL_CALLS]", "<\uff5cAssistant\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<|IM_START|>", "<think>", "</think>",
]  # fmt: skip


def sent(question: str, passage: str = "Use 10.4.5.6.", **how: Any) -> list[dict[str, str]]:
    """The messages of a request for this question."""
    segments = (
        PromptSegment("Rules. <|im_start|>", role="system"),
        PromptSegment(passage, role="user", turn=1, passage=True),
        PromptSegment(question, role="user", turn=1, private=True),
        PromptSegment("Earlier.", role="assistant", turn=1, private=True),
        PromptSegment(question, role="user", turn=2, private=True),
    )
    engine = RemoteEngine("http://127.0.0.1:9", **how)
    try:
        messages: list[dict[str, str]] = engine._request(Prompt(segments), Options())["messages"]
    finally:
        engine.close()
    return messages


@pytest.mark.parametrize("tag", TAGS)
def test_no_text_but_our_rules_holds_a_control_tag(tag: str) -> None:
    rules, *others = sent(f"My log says {tag} at the end.{tag}", f"a {tag}b")
    assert rules["content"] == "Rules. <|im_start|>"
    assert len(others) == 3
    for message in others:
        assert tag not in message["content"]
    assert tag.strip("<>[]") in others[0]["content"]  # it can still be read


@pytest.mark.parametrize(
    "text", ["a < b and c > d", "if [ -f x ]; then", "<service>", "a | b", "List<String>", "[1] [x](y)"]
)
def test_other_brackets_stay(text: str) -> None:
    assert sent(text)[-1]["content"] == text


def test_what_a_visitor_typed_is_redacted_for_a_strangers_server_and_passages_are_not() -> None:
    foreign = sent(f"my token {SECRET} on 10.4.5.6", clean=redact)
    assert SECRET not in str(foreign)
    assert "Use 10.4.5.6." in foreign[1]["content"] and "10.4.5.6" not in foreign[-1]["content"]
    assert SECRET in sent(f"my token {SECRET}")[-1]["content"]
