"""Looking up a question of another language: by known words first, by the model's translation where those find none."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from model.turn.retrieval import look_up
from rag.types import Embedded, SearchResult
from tests.model.test_chat import FOUND, NOTHING
from tests.prompt_texts import TEXTS
from tests.turn_fakes import FakeEngine


class ByText:
    """Finds the passage for one text only, and remembers what it was asked."""

    def __init__(self, known: str) -> None:
        self.known = known
        self.asked: list[str] = []

    def search(self, text: str, k: int = 5, embedded: Embedded | None = None) -> SearchResult:
        self.asked.append(text)
        return FOUND if text == self.known else NOTHING


def returned(steps: Generator[object, None, SearchResult]) -> SearchResult:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: SearchResult = end.value
            return result


def test_known_words_suffice_and_no_token_is_spent() -> None:
    searcher, engine = ByText("rhel 8 supported"), FakeEngine("never said")
    assert returned(look_up(searcher, engine, "Wird RHEL 8 gestützt?", "rhel 8 supported", TEXTS.translate)) is FOUND
    assert engine.prompts == []


def test_the_models_translation_is_searched_where_known_words_find_nothing() -> None:
    searcher, engine = ByText("Is RHEL 8 supported?"), FakeEngine("Is RHEL 8 supported?\nIt is a question")
    assert returned(look_up(searcher, engine, "Wird RHEL 8 gestützt?", "wird rhel 8", TEXTS.translate)) is FOUND
    assert searcher.asked == ["wird rhel 8", "Is RHEL 8 supported?"]
    assert [text for _, text in engine.prompts[0].messages] == [TEXTS.translate, "Wird RHEL 8 gestützt?"]


def test_a_translation_that_finds_nothing_either_leaves_the_first_result() -> None:
    searcher = ByText("something else")
    assert (
        returned(look_up(searcher, FakeEngine("What is this?"), "Was ist das?", "what is that", TEXTS.translate))
        is NOTHING
    )


def test_neither_the_embedded_model_nor_a_full_engine_nor_english_is_translated() -> None:
    for engine in (FakeEngine("x", stand_in=True), FakeEngine("x", full=True), None):
        searcher = ByText("x")
        assert returned(look_up(searcher, engine, "Was ist das?", "what is that", TEXTS.translate)) is NOTHING
        assert searcher.asked == ["what is that"]
    searcher, engine = ByText("x"), FakeEngine("x")
    assert returned(look_up(searcher, engine, "What is that?", "", TEXTS.translate)) is NOTHING
    assert searcher.asked == ["What is that?"]
    assert engine.prompts == []


def test_what_is_missing_is_named_as_the_visitor_spelled_it() -> None:
    class Near(ByText):
        def search(self, text: str, k: int = 5, embedded: Embedded | None = None) -> SearchResult:
            return replace(FOUND, missing=("yubikey", "root key"))

    found = returned(look_up(Near(""), None, "Kann der Root-Schlüssel auf einen YubiKey?", "root key yubikey", ""))
    assert found.missing == ("YubiKey", "root key")
