"""The Search tab says above its passages when they do not answer, and what they do not speak of."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from onboarding.ui.kit.languages import ENGLISH, Translator
from onboarding.ui.tabs.search import SearchTab
from rag.types import SearchResult
from tests.fakes import RHEL10


def html(result: SearchResult, translate: Translator = ENGLISH) -> str:
    guide: Any = SimpleNamespace(retriever=SimpleNamespace(search=lambda text: result))
    return SearchTab(guide).found("a question", translate)["html"]


def test_an_answer_has_no_line_above_it() -> None:
    assert html(RHEL10).startswith("<ol")


def test_near_passages_stand_below_what_they_do_not_speak_of() -> None:
    near = html(replace(RHEL10, missing=("Harbor<b>", "2.13")))
    assert near.startswith('<p class="small">No passage speaks of Harbor&lt;b&gt;, 2.13. The nearest ones:</p>')
    assert RHEL10.passages[0].title in near


def test_a_search_that_abstains_names_the_nearest_pages() -> None:
    said = html(SearchResult([], 0.1, "", RHEL10.passages), Translator("de"))
    assert "Die Dokumentation scheint das nicht zu beantworten" in said
    assert RHEL10.passages[0].title in said
