"""The page's own texts: complete in every language, and used only where they exist."""

from __future__ import annotations

import re

import gradio as gr
import pytest

from model.engine.events import Prefill
from model.prompting.conversation import Conversation
from model.turn.events import SourcesFound
from onboarding.assistant.turns import Turn, advance_all
from onboarding.ui.chat.render import turn_parts
from onboarding.ui.kit.languages import LANGUAGES, Translator, load_texts, say, translations, translator_for
from tests.fakes import RHEL10, ROUTES


def test_every_text_is_there_in_every_language() -> None:
    lacking = [(key, one) for key, texts in load_texts().items() for one in LANGUAGES if not texts.get(one, "").strip()]
    assert lacking == []


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])
def test_a_language_is_a_translation_and_not_a_copy(language: str) -> None:
    copied = [key for key, texts in load_texts().items() if texts[language] == texts["en"]]
    assert set(copied) <= {"tab_chat", "in_ms", "source_one", "source_many", "tokens_per_s"}


def test_headings_stay_headings() -> None:
    for key, texts in load_texts().items():
        marks = {text.split(" ")[0] if text.startswith("#") else "" for text in texts.values()}
        assert len(marks) == 1, key


def test_no_text_is_markdown_where_the_page_shows_it_as_it_stands() -> None:
    assert [key for key, texts in load_texts().items() for text in texts.values() if text[:1] in {"*", "_"}] == []


def test_a_word_that_is_not_in_the_file_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match="has no 'shrug'"):
        say("shrug")


def test_what_the_server_says_follows_the_browsers_first_language() -> None:
    assert translator_for(None)("retry") == "Retry"
    for header, said in (
        ("de-AT,de;q=0.9,en;q=0.8", "Noch einmal"),
        ("pt-BR", "Tentar de novo"),
        ("it,de", "Noch einmal"),
        ("it", "Retry"),
    ):
        request = gr.Request(headers={"accept-language": header})
        assert translator_for(request)("retry") == said


def test_places_for_values_are_the_same_in_every_language() -> None:
    for key, texts in load_texts().items():
        names = {tuple(sorted(re.findall(r"{(\w+)}", text))) for text in texts.values()}
        assert len(names) == 1, key


def test_one_thing_and_many_are_said_differently() -> None:
    assert Translator("fr").count("queue", 1, s=4) == "1 question avant, ~4 s"
    assert Translator("fr").count("queue", 3, s=4) == "3 questions avant, ~4 s"


def test_a_turn_is_drawn_in_the_visitors_language() -> None:
    turn = advance_all(Turn("t", "Wie?", Conversation("c")), [SourcesFound(RHEL10), Prefill(120, 240, 2.0)])
    parts = turn_parts(turn, ROUTES, Translator("de"), last=True)
    assert "liest 120 von 240 Token, noch ~2 s" in parts["answer"]
    assert "4 Quellen in 41 ms" in parts["route"]
    assert "Wörtlich aus den Seiten" in parts["evidence"]


def test_the_page_is_mounted_with_all_of_them() -> None:
    table = translations().translations_dict
    assert set(table) == set(LANGUAGES)
    assert table["de"]["send"] == "Senden"
