"""An engine without a model and a search without an index, for tests of whole turns."""

from __future__ import annotations

from collections.abc import Iterable

from model.checking.verdict import Verdict
from model.engine.events import Finished, Prefill, TextDelta
from model.engine.prompt import Prompt
from model.engine.protocol import Generation, Load, ModelInfo, Options, QueueFull
from model.engine.scripted import CHATML
from rag.types import Embedded, SearchResult

PIECE = 7  # characters at once, so that words and addresses are cut anywhere


class FakeEngine:
    """Writes the given texts, one for each prompt and the last again and again; keeps what it was asked."""

    def __init__(self, *texts: str, name: str = "fake", stand_in: bool = False, full: bool = False) -> None:
        self.info = ModelInfo(name, name.capitalize(), 1, stand_in)
        self.chat_template, self.bos, self.eos = CHATML, "", ""
        self.prompts: list[Prompt] = []
        self.options: list[Options] = []
        self.generations: list[Generation] = []
        self._texts, self._full = texts, full

    def submit(self, prompt: Prompt, options: Options | None = None) -> Generation:
        if self._full:
            raise QueueFull
        self.prompts.append(prompt)
        self.options.append(options or Options())
        text, generation = self.text(prompt), Generation(lambda: None)
        generation.put(Prefill(5, 5, 0.0))
        step = max(PIECE, len(text) // 1000)
        for start in range(0, len(text), step):
            generation.put(TextDelta(text[start : start + step]))
        generation.put(Finished("stop", tokens=(1, 2, 3)))
        self.generations.append(generation)
        return generation

    def text(self, prompt: Prompt) -> str:
        """The answer to the last prompt."""
        return self._texts[min(len(self.prompts), len(self._texts)) - 1]

    def prewarm(self, prompts: list[Prompt]) -> None: ...

    def load(self) -> Load:
        return Load(0, 0, 0.0)

    def close(self) -> None: ...


class LenientChecker:
    """A checker that lets every command pass and finds no repetition, and for which every sentence holds."""

    def judge(self, sentence: str, before: str = "", after: str = "") -> Verdict:
        return Verdict("holds")

    def repeats(self, sentence: str) -> bool:
        return False

    def judge_command(self, line: str) -> Verdict:
        return Verdict("holds")


class FakeSearcher:
    """Finds the same whatever is searched for."""

    holdings: tuple[()] = ()

    def __init__(self, result: SearchResult) -> None:
        self.result = result

    def search(self, text: str, k: int = 5, embedded: Embedded | None = None) -> SearchResult:
        return self.result


def said(events: Iterable[object]) -> str:
    """The text that a visitor reads."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))
