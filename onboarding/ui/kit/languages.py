"""The page's own texts in its six languages, from `languages.toml`.

The browser translates the texts of Gradio's widgets (`say`); the server translates the HTML that it draws
(`Translator`). Both follow the browser's preference.
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
    """Return key -> language -> text; ValueError names a key without an English text or with an unknown language."""
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))
    for key, texts in table.items():
        if "en" not in texts or not texts.keys() <= set(LANGUAGES):
            raise ValueError(f"{FILE.name}: {key} needs a text in English, and only: {', '.join(LANGUAGES)}")
    return table


def translations() -> gr.I18n:
    """Return every text in every language, for `mount_gradio_app(i18n=...)`."""
    return gr.I18n(**{one: {key: text.get(one, text["en"]) for key, text in load_texts().items()} for one in LANGUAGES})


@dataclass(frozen=True, slots=True)
class Translator:
    """The page's texts in one language: `translate("reading", done=60, total=240, left="~3 s left")`."""

    language: str = "en"

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of `key` with its values filled in; KeyError for a key or a value that is missing."""
        return text(key, self.language).format(**values)

    def count(self, key: str, n: int, **values: object) -> str:
        """Return the text of `key_one` for one thing, of `key_many` for any other number."""
        return self(f"{key}_one" if n == 1 else f"{key}_many", n=n, **values)


ENGLISH = Translator()


def translator_for(request: gr.Request | None) -> Translator:
    """Return the translator for the visitor who sent this request; English without a request."""
    return Translator(preferred_language(str(request.headers.get("accept-language", "")))) if request else ENGLISH


def say(key: str) -> I18nData:
    """Return a text that the browser shows in its language; KeyError for a key that is not in the file."""
    if key not in load_texts():
        raise KeyError(f"{FILE.name} has no {key!r}; add it there in every language")
    return I18nData(key)


def preferred_language(accepted: str) -> str:
    """Return the first of the page's languages that an Accept-Language header names, in its order; else English."""
    for part in accepted.split(","):
        language = part.partition(";")[0].strip().partition("-")[0].lower()
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


def text(key: str, language: str) -> str:
    """Return a text for HTML that the server writes; English where the language lacks it."""
    texts = load_texts()[key]
    return texts.get(language, texts["en"])
