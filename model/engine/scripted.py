"""Answer without a model, word by word, for work on the page and for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from model.engine.events import Counts, EngineEvent, Finished, Prefill, TextDelta, Timings
from model.engine.prompt import Prompt
from model.engine.protocol import Generation, Load, ModelInfo, Options

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS_PER_STEP = 40  # of the prompt


class ScriptedEngine:
    """The `Engine` that answers every prompt with `script`, or with the prompt's own last words when that is ""."""

    def __init__(self, script: str = "", *, prefill_s: float = 0.6, word_s: float = 0.03) -> None:
        self.info = ModelInfo("scripted", "Scripted answers, no model", 0, stand_in=False)
        self.chat_template, self.bos, self.eos = CHATML, "", "<|im_end|>"
        self.prompts: list[Prompt] = []  # what was asked, for tests
        self._script = script
        self._prefill_s = prefill_s
        self._word_s = word_s
        self._running = 0

    def submit(self, prompt: Prompt, options: Options | None = None) -> Generation:
        """Start answering at once, on a thread of its own."""
        self.prompts.append(prompt)
        generation = Generation(lambda: None)
        thread = threading.Thread(target=self._run, args=(prompt, options or Options(), generation), daemon=True)
        thread.start()
        return generation

    def _run(self, prompt: Prompt, options: Options, generation: Generation) -> None:
        self._running += 1
        started = time.monotonic()
        reason = "stop"
        for event in self._events(prompt, options):
            if generation.cancelled:
                reason = "cancelled"
                break
            generation.put(event)
        self._running -= 1
        total = time.monotonic() - started
        counts = Counts(_length(prompt), _length(prompt), len(self._answer(prompt).split()))
        generation.put(Finished("cancelled" if reason == "cancelled" else "stop", counts,
                                Timings(0.0, min(self._prefill_s, total), total)))  # fmt: skip

    def _events(self, prompt: Prompt, options: Options) -> Iterator[EngineEvent]:
        total = _length(prompt)
        steps = max(1, total // WORDS_PER_STEP)
        for step in range(1, steps + 1):
            time.sleep(self._prefill_s / steps)
            yield Prefill(total * step // steps, total, self._prefill_s * (steps - step) / steps)
        for word in self._answer(prompt).split(" ")[: options.max_tokens]:
            time.sleep(self._word_s)
            yield TextDelta(word + " ")

    def _answer(self, prompt: Prompt) -> str:
        return self._script or "You asked: " + prompt.messages[-1][1][-200:]

    def prewarm(self, prompts: list[Prompt]) -> None:
        """Do nothing: there is no cache."""

    def load(self) -> Load:
        """Return the load; this engine is never full."""
        return Load(self._running, 0)

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


def _length(prompt: Prompt) -> int:
    return sum(len(text.split()) for _, text in prompt.messages)
