"""The page's own words in its six languages, from `languages.toml`.

Gradio's widgets are said by the browser (`say`), what the server draws as HTML by the server (`Translator`); both go by
the browser's own preference.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio.i18n import I18nData

FILE = Path(__file__).with_name("languages.toml")
LANGUAGES = ("en", "de", "es", "fr", "ja", "pt")


@functools.cache
def load_texts() -> dict[str, dict[str, str]]:
    """Key -> language -> text; ValueError names a key that lacks its English text or has an unknown language."""
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))
    for key, texts in table.items():
        if "en" not in texts or not texts.keys() <= set(LANGUAGES):
            raise ValueError(f"{FILE.name}: {key} needs a text in English, and only: {', '.join(LANGUAGES)}")
    return table


def translations() -> gr.I18n:
    """What the page is mounted with."""
    return gr.I18n(**{one: {key: text.get(one, text["en"]) for key, text in load_texts().items()} for one in LANGUAGES})


@dataclass(frozen=True, slots=True)
class Translator:
    """Says the page's words in one language: `translate("reading", done=60, total=240, left="~3 s left")`."""

    language: str = "en"

    def __call__(self, key: str, **values: object) -> str:
        """The text of `key` with its values put in; KeyError for a key or a value that is missing."""
        return text(key, self.language).format(**values)

    def count(self, key: str, n: int, **values: object) -> str:
        """As a call, of `key_one` for one thing and of `key_many` for any other number."""
        return self(f"{key}_one" if n == 1 else f"{key}_many", n=n, **values)


ENGLISH = Translator()


def translator_for(request: gr.Request | None) -> Translator:
    """The words for whoever sent this request."""
    return Translator(preferred_language(str(request.headers.get("accept-language", "")))) if request else ENGLISH


def say(key: str) -> I18nData:
    """A text that the browser shows in its language; KeyError for a key that is not in the file."""
    if key not in load_texts():
        raise KeyError(f"{FILE.name} has no {key!r}; add it there in every language")
    return I18nData(key)


def preferred_language(accepted: str) -> str:
    """Which of the languages to use for a request's Accept-Language, in the browser's order of preference."""
    for part in accepted.split(","):
        language = part.partition(";")[0].strip().partition("-")[0].lower()
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


def text(key: str, language: str) -> str:
    """A text for HTML that the server writes."""
    texts = load_texts()[key]
    return texts.get(language, texts["en"])
