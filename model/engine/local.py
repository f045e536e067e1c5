"""Run continuous batching over llama.cpp: one thread owns the model and advances every generation in one batch.

A step carries one row for each answer in decode and a slice of the prompts in prefill, sized so that the next token of
an answer never waits long. Stop, a newcomer during prewarming, and shutdown abort a step in the middle.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from model.engine.events import Finished, FinishReason, Prefill, Queued, TextDelta
from model.engine.job import Job
from model.engine.llama import ABORTED, DECODED, MAX_BATCH, NO_SLOT, BatchRow, Llama
from model.engine.prompt import PassagePlace, Prompt
from model.engine.protocol import NO_ANSWER, Generation, Load, ModelInfo, Options, QueueFull
from model.engine.scheduling import Pace, share
from model.engine.sequences import Sequences
from model.kv_cache.prefix_cache import PrefixCache
from model.streaming.thoughts import TAGS

logger = logging.getLogger(__name__)

FAILED = "The model failed on this answer; please ask again."
ENDED = "The model has stopped and is started again; please try again in a minute."
FULL = "The model's memory is full; start a new conversation or try again soon."
NO_MEMORY = "There is too little memory for this answer; start a new conversation or try again soon."
BROKEN = -1  # the result of a decode that raised


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The number of generations at once, and the longest conversation."""

    slots: int = 4
    waiting: int = 100  # generations beyond the slots; the next is refused. Who is let in is decided before
    window: int = 4096  # tokens of one conversation, answer included
    composed: bool = False  # passages that were read once are laid wherever they stand, see `Sequences.lay_passage`


class LocalEngine:
    """The `Engine` over a GGUF file. It calls `open_llama` on its own thread and raises the error of that call here."""

    def __init__(
        self,
        open_llama: Callable[[], Llama],
        cache: PrefixCache,
        info: ModelInfo,
        options: EngineOptions | None = None,
    ) -> None:
        self.info = info
        self._options = options or EngineOptions()
        self._cache = cache
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()  # None only wakes the thread
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._warm: deque[Prompt] = deque()
        self._unfinished: set[Job] = set()  # every job that a visitor waits for
        self._suspects: deque[Job] = deque()  # of a batch that failed: each is computed alone once
        self._given_up: set[Prompt] = set()  # failed while they were read ahead
        self.cause = ""  # what ended the thread, "" while it runs
        self._lock = threading.Lock()
        self._closing = False
        self._beat: float | None = None  # when the step under way began (monotonic); None while idle
        self._pace = Pace()
        opened: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._own, args=(open_llama, opened), name="engine", daemon=True)
        self._thread.start()
        if error := opened.get():
            raise error

    # --- any thread -----------------------------------------------------------------------------------

    def submit(self, prompt: Prompt, options: Options | None = None) -> Generation:
        """Queue a generation; raises QueueFull when too many wait."""
        with self._lock:
            ahead = len(self._unfinished) - self._options.slots
            if self._closing:
                raise QueueFull(ENDED)
            if ahead >= self._options.waiting:
                raise QueueFull()
            job = Job(prompt, options or Options(), Generation(self._interrupt))
            self._unfinished.add(job)
            if ahead >= 0:  # at once: the step that runs may take seconds, and a page would show nobody ahead till then
                job.report_queue(Queued(ahead))
        self._inbox.put(job)
        if all(running.warm for running in list(self._running)):
            self._llama.abort()  # stop prewarming at once
        return job.generation

    def prewarm(self, prompts: list[Prompt]) -> None:
        """Compute prompts worth having in the cache while nobody waits; the most valuable come first."""
        self._warm.extend(prompts)
        self._inbox.put(None)

    def is_warm(self) -> bool:
        """Return True once the engine has read everything handed to `prewarm`."""
        return not self._warm and not any(job.warm for job in list(self._running))

    def load(self) -> Load:
        """Return how busy the engine is."""
        present = len(self._unfinished)
        waiting = max(0, present - self._options.slots)
        return Load(min(present, self._options.slots), waiting, self._silent_s())

    def _silent_s(self) -> float:
        beat = self._beat
        if not self._thread.is_alive():
            return math.inf
        return time.monotonic() - beat if beat is not None else 0.0

    def close(self) -> None:
        """Stop at once and free everything; end running generations as cancelled."""
        with self._lock:
            self._closing = True
        self._interrupt()
        self._thread.join(timeout=10)

    def _interrupt(self) -> None:
        self._llama.abort()
        self._inbox.put(None)

    # --- the engine's thread --------------------------------------------------------------------------

    def _own(self, open_llama: Callable[[], Llama], opened: queue.SimpleQueue[Exception | None]) -> None:
        try:
            self._llama = open_llama()
        except Exception as error:
            opened.put(error)
            return
        self.chat_template, self.bos, self.eos = self._llama.chat_template, self._llama.bos, self._llama.eos
        self.cells = self._llama.cells
        self.window = min(self._options.window, self._llama.cells, self._llama.trained_context)
        self._sequences = Sequences(self._llama, self._cache)
        composes = self._options.composed and self._llama.rotation is not None
        self.info = replace(self.info, composed=composes)
        opened.put(None)
        try:
            while not self._closing:
                self._loop_once()
        except BaseException as error:
            self.cause = f"{type(error).__name__}: {error}"
            logger.exception("the engine stopped")
            self._end_all("error", ENDED)
        finally:
            self._end_all("cancelled")
            self._cache.close()
            self._llama.close()

    def _end_all(self, reason: FinishReason, error: str = "") -> None:
        with self._lock:
            self._closing = True
            unfinished = list(self._unfinished)
        for job in unfinished:
            self._contain(job, partial(self._finish, job, reason, error))

    def _contain(self, job: Job, work: Callable[[], object]) -> None:
        """Do what concerns one job: a fault in it ends that job with a reason, and nobody else's."""
        try:
            work()
        except Exception as error:
            logger.exception("%s failed", "a prompt that is read ahead" if job.warm else "a generation")
            if job.warm:
                self._given_up.add(job.prompt)
            self._drop(job, NO_MEMORY if isinstance(error, MemoryError) else FAILED)

    def _drop(self, job: Job, error: str) -> None:
        """End a job whose state nobody knows."""
        if job.ended:
            return
        sequence, job.sequence = job.sequence, None
        try:
            if sequence:
                self._sequences.discard(sequence)
            self._finish(job, "error", error)
        except Exception:
            logger.exception("a failed generation could not be cleared away")
            self._report_end(job, "error", error)

    def _loop_once(self) -> None:
        idle = not (self._running or self._waiting or self._warm)
        self._beat = None if idle else time.monotonic()
        for job in self._drain(block=idle):
            self._contain(job, partial(self._accept, job))
        self._beat = time.monotonic()
        # Clear the flag before the check: then a cancel that comes after the check aborts the step.
        self._llama.clear_abort()
        self._end_cancelled()
        self._admit()
        if self._running and self._inbox.empty() and not self._closing:
            self._step()

    def _drain(self, *, block: bool = False) -> list[Job]:
        jobs = [self._inbox.get()] if block else []
        while not self._inbox.empty():
            jobs.append(self._inbox.get())
        return [job for job in jobs if job]

    def _accept(self, job: Job) -> None:
        """Tokenise a newcomer and put it into the queue, or end it with the error."""
        try:
            job.encode(lambda text, control: self._llama.tokenize(text, control=control), self.window)
            job.sampler = None if job.warm else self._llama.new_sampler(job.options.sampling)
        except ValueError as error:  # PromptTooLong is one
            self._finish(job, "error", str(error))
            return
        self._waiting.append(job)

    def _end_cancelled(self) -> None:
        now = time.monotonic()
        for job in [*self._running, *self._waiting]:
            if job.generation.cancelled:
                self._contain(job, partial(self._finish, job, "cancelled"))
            elif job.started and now - job.started > job.options.deadline_s:
                self._contain(job, partial(self._finish, job, "deadline"))

    def _admit(self) -> None:
        if self._waiting:
            for job in [job for job in self._running if job.warm]:
                self._contain(job, partial(self._put_back, job))
        while self._waiting and len(self._running) < self._options.slots:
            job = self._waiting.popleft()
            self._contain(job, partial(self._start, job))
        for ahead, job in enumerate(self._waiting):
            job.report_queue(Queued(ahead))
        if self._warm and not self._running and not self._waiting:
            if self._cache.is_full:
                logger.info("the prefix cache is full: %d prompts are not read ahead", len(self._warm))
                self._warm.clear()
                return
            self._read_ahead(self._warm[0])
            self._warm.popleft()  # only now, so that `is_warm` never sees it in neither place

    def _read_ahead(self, prompt: Prompt) -> None:
        """Begin to read a prompt that nobody waits for; drop one that does not fit, and one whose state is kept."""
        job = Job(prompt, Options(max_tokens=0), Generation(lambda: None), warm=True)
        self._contain(job, partial(self._begin_to_read, job))

    def _begin_to_read(self, job: Job) -> None:
        try:
            job.encode(lambda text, control: self._llama.tokenize(text, control=control), self.window)
        except ValueError as error:  # PromptTooLong is one
            logger.warning("a prompt is not read ahead: %s", error)
        else:
            if not self._sequences.holds(job.encoded.tokens, len(job.encoded.tokens)):
                self._start(job)

    def _put_back(self, job: Job) -> None:
        """Stop prewarming a prompt; keep what it has read, and put it first for the next quiet moment."""
        self._warm.appendleft(job.prompt)
        self._finish(job, "cancelled")

    def _start(self, job: Job) -> None:
        job.started = time.monotonic()
        self._running.append(job)
        encoded = job.encoded
        sequence = job.sequence = self._sequences.open(encoded.tokens, encoded.boundaries, exact=job.warm)
        if encoded.dropped:
            self._sequences.cut(sequence, *encoded.cut)
            job.target, job.boundaries = encoded.kept(), encoded.kept_boundaries()
        job.restored = len(sequence.tokens)
        if self.info.composed and not job.warm:
            job.places = encoded.kept_places()
            self._lay(job)

    def _lay(self, job: Job) -> None:
        """Lay the passages that come next; what is not known is read where it stands, and alone in a quiet moment."""
        while place := job.place:
            held = len(job.running_sequence.tokens)
            if not self._sequences.lay_passage(job.running_sequence, place, job.target):
                job.places = tuple(other for other in job.places if other is not place)
                self._read_later(place)
                continue
            job.laid += place.end - held

    def _read_later(self, place: PassagePlace) -> None:
        """Read a passage alone once nobody waits, unless that is planned or done."""
        known = place.alone in self._warm or place.alone in self._given_up
        if not known and not self._sequences.is_kept(place.key):
            self._warm.appendleft(place.alone)

    def _step(self) -> None:
        rows, owners = self._rows()
        before = time.monotonic()
        status = self._decoded(rows)
        seconds = time.monotonic() - before
        if status == DECODED:
            self._pace.learn(len(rows), seconds)
            self._after(rows, owners)
            return
        for job in owners:
            self._sequences.rewind(job.running_sequence)
        if status == NO_SLOT and not self._sequences.evict():
            youngest = max(self._running, key=lambda job: job.started)
            self._contain(youngest, partial(self._finish, youngest, "error", FULL))
        elif status not in (ABORTED, NO_SLOT):
            logger.error("llama_decode failed with %d on %d conversations", status, len(owners))
            if len(owners) > 1:  # one of them is why; the others need not end
                self._suspects.extend(owners)
                return
            for job in owners:
                if job.warm:
                    self._given_up.add(job.prompt)
                self._drop(job, FAILED)

    def _decoded(self, rows: list[BatchRow]) -> int:
        try:
            return self._llama.decode(rows)
        except Exception:
            logger.exception("a batch failed")
            return BROKEN

    def _rows(self) -> tuple[list[BatchRow], dict[Job, int]]:
        """Return the next batch, and for each job in it the index of its last row."""
        rows: list[BatchRow] = []
        owners: dict[Job, int] = {}
        running = self._next_running()
        reading = [job for job in running if job.reading]
        for job in running:
            if not job.reading:
                owners[job] = len(rows)
                rows.append(job.next_row())
        room = min(self._pace.slice(len(rows)), MAX_BATCH - len(rows))
        for job, count in zip(reading, share(room, [job.stretch for job in reading]), strict=True):
            if count:
                rows.extend(job.prompt_rows(count))
                owners[job] = len(rows) - 1
        return rows, owners

    def _next_running(self) -> list[Job]:
        """Return the jobs of the next batch: all that run, or one alone where a batch of several has failed."""
        while self._suspects:
            suspect = self._suspects.popleft()
            if suspect in self._running:
                return [suspect]
        return list(self._running)

    def _after(self, rows: list[BatchRow], owners: dict[Job, int]) -> None:
        """Take in a computed batch: report progress for prompts in prefill, sample a token for answers in decode."""
        for job, last in owners.items():
            self._contain(job, partial(self._advance, job, rows, last))

    def _advance(self, job: Job, rows: list[BatchRow], last: int) -> None:
        sequence = job.running_sequence
        sequence.tokens.extend(row.token for row in rows if row.sequence == sequence.id)
        if job.reading and self.info.composed:
            self._lay(job)
        if job.reading:
            decoding = sum(not other.reading for other in self._running)
            eta = self._pace.prefill_s(job.remaining, decoding)
            job.generation.put(Prefill(len(sequence.tokens), len(job.target), eta))
            return
        if job.first_token_at is None and not job.generated:
            passages = {place.end for place in job.encoded.places if not place.opens} if self.info.composed else ()
            self._sequences.keep(sequence, job.encoded.shared, passages)
            job.generation.put(Prefill(len(sequence.tokens), len(job.target), 0.0))
        self._write(job, last)

    def _write(self, job: Job, row: int) -> None:
        if job.warm or job.options.max_tokens <= 0:
            self._finish(job, "length")
            return
        token = self._llama.sample(job.sampler, row)
        if self._llama.is_end(token) and not job.options.ignore_end:
            self._finish(job, "stop")
            return
        text = job.take(token, self._piece(token))
        if text:
            job.generation.put(TextDelta(text))
        if job.is_written or len(job.target) + len(job.generated) >= self.window:
            self._finish(job, "length")

    def _finish(self, job: Job, reason: FinishReason, error: str = "") -> None:
        if job in self._running:
            self._running.remove(job)
        elif job in self._waiting:
            self._waiting.remove(job)
        if job.sequence:
            self._sequences.park(job.sequence)
        sampler, job.sampler = job.sampler, None
        if sampler:
            self._llama.free_sampler(sampler)
        if text := job.rest():
            job.generation.put(TextDelta(text))
        if reason in ("stop", "length") and job.only_thought:
            reason, error = "error", NO_ANSWER
        self._report_end(job, reason, error)

    def _report_end(self, job: Job, reason: FinishReason, error: str) -> None:
        if job in self._running:
            self._running.remove(job)
        with self._lock:
            self._unfinished.discard(job)
        job.ended = True
        job.generation.put(Finished(reason, job.counts(), job.timings(), job.tokens, job.dropped, error))

    def _piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for; some models have a control token for the tags of a thought."""
        piece = self._llama.piece(token)
        tag = "" if piece else self._llama.control_text(token)
        return tag.encode() if tag.lower() in TAGS else piece
