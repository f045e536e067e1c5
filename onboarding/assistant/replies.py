"""The fixed replies, for requests that need no model, in the visitor's language."""

import tomllib
from pathlib import Path
from string import Template

from model.turn.wording import Words
from onboarding.routing.lexicon import Lexicon

FOLDER = Path(__file__).parents[1] / "prompts" / "replies"
FALLBACK = "en"


class Replies:
    """Replies by name and language: `<name>.md` holds the English ones, `<language>.toml` those of another."""

    def __init__(self, lexicon: Lexicon, folder: Path = FOLDER) -> None:
        """Read all replies. Raises ValueError when a language lacks one that English has."""
        self._lexicon = lexicon
        english = {path.stem: path.read_text(encoding="utf-8").strip() for path in sorted(folder.glob("*.md"))}
        self._replies = {FALLBACK: english}
        for path in sorted(folder.glob("*.toml")):
            replies = tomllib.loads(path.read_text(encoding="utf-8"))
            if replies.keys() != english.keys():
                differ = ", ".join(sorted(replies.keys() ^ english.keys()))
                raise ValueError(f"{path.name} and the English replies differ in: {differ}")
            self._replies[path.stem] = replies

    def say(self, name: str, text: str) -> str:
        """Return the reply `name` in the language of `text`, in English when that is unknown."""
        return self._in_language(text)[name]

    def refuse_action(self, text: str, command: str = "") -> str:
        """Return the refusal of an action, with the `command` a visitor could run on a machine of their own."""
        replies = self._in_language(text)
        return Template(replies["action_with"]).substitute(command=command) if command else replies["action"]

    def abstaining(self, text: str) -> Words:
        """Return how to say, in the language of `text`, that the documentation does not answer."""
        replies = self._in_language(text)
        return Words(replies["abstain"], replies["nearest"])

    def in_english(self, text: str) -> str:
        """Return `text` of another language in English words as far as the lexicon knows them; "" for English."""
        return "" if self._lexicon.language(text) == FALLBACK else self._lexicon.gloss(text)

    def _in_language(self, text: str) -> dict[str, str]:
        return self._replies.get(self._lexicon.language(text), self._replies[FALLBACK])
