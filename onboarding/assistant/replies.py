"""Gives the fixed replies, for requests that need no model, in the visitor's language."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from string import Template

from model.turn.wording import Words
from onboarding.routing.reading import Reading

FOLDER = Path(__file__).parents[1] / "prompts" / "replies"
FALLBACK = "en"


class Replies:
    """Replies by name and language: `<name>.md` holds the English ones, `<language>.toml` those of another."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """Read all replies. Raises ValueError when a language lacks one that English has."""
        english = {path.stem: path.read_text(encoding="utf-8").strip() for path in sorted(folder.glob("*.md"))}
        self._replies = {FALLBACK: english}
        for path in sorted(folder.glob("*.toml")):
            replies = tomllib.loads(path.read_text(encoding="utf-8"))
            if replies.keys() != english.keys():
                differ = ", ".join(sorted(replies.keys() ^ english.keys()))
                raise ValueError(f"{path.name} and the English replies differ in: {differ}")
            self._replies[path.stem] = replies

    def say(self, name: str, reading: Reading) -> str:
        """Return the reply `name` in the message's language, in English when that is unknown."""
        return self._in_language(reading)[name]

    def refuse_action(self, reading: Reading, command: str = "") -> str:
        """Return the refusal of an action, with the `command` a visitor could run on a machine of their own."""
        replies = self._in_language(reading)
        return Template(replies["action_with"]).substitute(command=command) if command else replies["action"]

    def abstaining(self, reading: Reading) -> Words:
        """Return how to say, in the message's language, that the documentation does not answer, or only nearly."""
        replies = self._in_language(reading)
        return Words(replies["abstain"], replies["nearest"], replies["near"])

    @property
    def every(self) -> Mapping[str, Mapping[str, str]]:
        """All replies: language -> name -> text."""
        return self._replies

    def _in_language(self, reading: Reading) -> dict[str, str]:
        return self._replies.get(reading.language, self._replies[FALLBACK])
