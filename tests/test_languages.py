"""The page's own words: whole in every language, and said only where they exist."""

from __future__ import annotations

import pytest

from onboarding.ui.languages import LANGUAGES, say, translations, words


def test_every_text_is_there_in_every_language() -> None:
    lacking = [(key, one) for key, texts in words().items() for one in LANGUAGES if not texts.get(one, "").strip()]
    assert lacking == []


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])
def test_a_language_is_a_translation_and_not_a_copy(language: str) -> None:
    copied = [key for key, texts in words().items() if texts[language] == texts["en"]]
    assert set(copied) <= {"tab_chat"}


def test_headings_stay_headings() -> None:
    for key, texts in words().items():
        marks = {text.split(" ")[0] if text.startswith("#") else "" for text in texts.values()}
        assert len(marks) == 1, key


def test_a_word_that_is_not_in_the_file_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match="has no 'shrug'"):
        say("shrug")


def test_the_page_is_mounted_with_all_of_them() -> None:
    table = translations().translations_dict
    assert set(table) == set(LANGUAGES)
    assert table["de"]["send"] == "Senden"
