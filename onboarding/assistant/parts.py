"""Loads the parts a visit needs behind the first page, each with a status the page can show.

Order: the best model that lies here, so that something answers; the encoder with index and router; then, with
MODEL=auto, a better model in the background. A part that fails says why and leaves the others alone.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from model.catalogue.adapters import Adapter
from model.catalogue.choice import ModelChoice, ModelFiles, chosen_model, of_entry
from model.catalogue.download import fetch, find
from model.catalogue.entries import (
    DEFAULT,
    EMBEDDED,
    SUBSTITUTE,
    Entry,
    FetchStopped,
    HubUnreachable,
    catalogue,
    prove,
)
from model.catalogue.load import EngineLimits, open_engine
from model.catalogue.memory import shortage
from model.engine.protocol import Engine, ModelUnusable, Options, QueueFull
from model.engine.scripted import ScriptedEngine
from model.prompting.conversation import Conversation
from model.prompting.system_prompts import load_prompt_texts
from model.prompting.trial import try_out
from model.turn.limits import USUAL_LIMITS, TurnLimits
from model.turn.tool_calling import ToolMenu
from onboarding.assistant.engines import Engines, Opener
from onboarding.assistant.watchdog import Watchdog
from onboarding.redaction import redact
from onboarding.routing.classifier import ARTEFACT, ArtefactStale
from onboarding.routing.routing import Routing, load_routing, routing_without_classifiers
from rag.embedding.embedder import DEFAULT_MODEL, Embedder, NoEncoder
from rag.errors import RagError
from rag.index.store import load
from rag.search.retriever import Retriever, WordEncoder, open_or_build
from rag.search.tiers import Searching, with_upstream
from tools.registry import Registry
from tools.sandbox.sandbox import Sandbox
from tools.sandbox.worker_process import SandboxError

logger = logging.getLogger(__name__)

CORPUS = Path(__file__).parents[2] / "rag" / "corpus"
PROMPTS = Path(__file__).parents[1] / "prompts"
MB = 1_000_000
COMING = ("loading", "building")  # how a part's status begins before it is there
LOOK_S = 0.05  # between two looks whether it is
MENDING_S = 5.0  # between two looks at an index that could not be used
STOPPING_S = 2.0  # for a download to end and remove what nobody can use


@dataclass(frozen=True, slots=True)
class PartsSettings:
    """The parts to load, and the folders to keep things in."""

    model: str = "auto"  # "auto", a catalogue name or a path to a GGUF, with +ADAPTER for a LoRA adapter on it
    downloads: bool = False  # with "auto", fetch a better model in the background
    engine: str = "local"  # or "scripted": no model, for work on the page
    engine_url: str = ""  # an OpenAI-compatible server instead of a local model
    engine_token: str = ""  # what that server wants as its API key
    engine_is_own: bool = False  # that server is the operator's: what a visitor typed reaches it as it is
    data: Path = Path(".data")
    embedding: str = ""  # another sentence-transformers model, by name or folder
    index: Path | None = None  # a ready-made index to use as it is, instead of one over our own pages
    upstream: Path | None = None  # the index of upstream's own text; by default the folder `upstream` in `data`
    limits: EngineLimits = field(default_factory=EngineLimits)
    turn: TurnLimits = USUAL_LIMITS
    abstain_below: float | None = None  # probability, 0..1, below which a search abstains; None is the fitted one


class Parts:
    """Everything that takes time to load. Attributes are None until their part is ready."""

    def __init__(self, settings: PartsSettings, sandbox: Sandbox | None = None) -> None:
        self.settings = settings
        self.retriever: Searching | None = None
        self.routing: Routing = routing_without_classifiers(NoEncoder())
        self.menu: ToolMenu | None = None
        self.sandbox = sandbox or Sandbox()
        self.status: dict[str, str] = dict.fromkeys(("model", "search", "router", "tools"), "waiting")
        self.downloading = ""
        self.note = ""
        self.on_ready: Callable[[Engine], None] = lambda _engine: None  # called when engine and search are there
        self.engines = Engines()
        self.closed = threading.Event()
        self.watchdog = Watchdog(self, self._serve)
        self._ready = threading.Event()  # encoder and router
        self._thread = threading.Thread(target=self._load, name="parts", daemon=True)

    def start(self) -> None:
        """Begin to load; returns at once."""
        self._thread.start()
        self.watchdog.start()

    def wait_for_router(self, timeout_s: float) -> bool:
        """Wait until questions can be routed; False when that takes too long or has failed."""
        return self._ready.wait(timeout_s) and self.can_route

    @property
    def is_loading(self) -> bool:
        """True until the encoder is there or has failed, so that a question had better wait."""
        return not self._ready.is_set()

    @property
    def search_is_coming(self) -> bool:
        """True while the index loads or is being built for the first time; one that failed is not waited for."""
        return self.retriever is None and self.status["search"].startswith(COMING)

    def wait_for_search(self, timeout_s: float) -> bool:
        """Wait until the index is there or has failed; False when that takes too long."""
        end = time.monotonic() + timeout_s
        while self.search_is_coming and time.monotonic() < end:
            self.closed.wait(LOOK_S)
        return not self.search_is_coming

    @property
    def can_route(self) -> bool:
        """True where topics and checks can be told apart; without, only marks of attack are seen."""
        return self.routing.router.is_trained

    @property
    def engine(self) -> Engine | None:
        """The engine for new conversations."""
        return self.engines.by_name.get(self.engines.current)

    def engine_for(self, conversation: Conversation) -> Engine | None:
        """Return the engine a conversation began with, so that no answer changes its voice; else the current one."""
        began = next((turn.engine for turn in conversation.turns if turn.engine), "")
        return self.engines.by_name.get(began) or self.engine

    @property
    def silent_s(self) -> float:
        """The longest time in seconds that an engine with work has shown no life; infinite when one is lost."""
        return math.inf if self.watchdog.gave_up else self.engines.silent_s

    def close(self) -> None:
        """Stop everything, in the middle of whatever it does."""
        self.closed.set()
        for engine in self.engines:
            engine.close()
        self.sandbox.close()
        if self.downloading:
            self._thread.join(STOPPING_S)

    def _load(self) -> None:
        self._attempt("model", self._load_first_model)
        self._attempt("search", self._load_search)
        self._ready.set()
        if self._is_auto:
            self._attempt("model", self._load_default_model)

    @property
    def _is_auto(self) -> bool:
        """True where the choice of the model is left to the app."""
        return self.settings.model == "auto" and self.settings.engine == "local" and not self.settings.engine_url

    def _attempt(self, part: str, load: Callable[[], None]) -> None:
        try:
            load()
        except FetchStopped:
            return
        except Exception as error:  # one part must not take the page down
            expected = isinstance(error, ModelUnusable | RagError | ArtefactStale | SandboxError | OSError)
            logger.error("%s: %s", part, error, exc_info=not expected)
            self.downloading = ""
            self.note = str(error) if expected else f"The {part} could not be loaded; the log says why."
            # A larger model that cannot be had leaves the one that answers already.
            self.status[part] = "ready" if part == "model" and self.engine else f"failed: {self.note}"

    def _load_first_model(self) -> None:
        settings = self.settings
        self.status["model"] = "loading"
        if settings.engine == "scripted":
            self._serve(ScriptedEngine())
        elif settings.engine_url:
            from model.engine.remote import RemoteEngine  # only where a server is used

            clean = str if settings.engine_is_own else redact
            url, token = settings.engine_url, settings.engine_token
            opens = partial(RemoteEngine, url, settings.model, token=token, clean=clean)
            self._serve(engine := opens(), opens)
            threading.Thread(target=self._try_server, args=(engine,), name="trial", daemon=True).start()
        elif settings.model == "auto":
            self._open_best_here()
        else:
            self._open_choice(chosen_model(settings.model))

    def _try_server(self, engine: Engine) -> None:
        """Let the log say at once what is wrong with a model server, and let the engine learn how it answers."""
        with suppress(ModelUnusable, QueueFull):  # it may be started later; each answer asks anew
            try_out(engine, engine.info.label, Options())

    def _open_best_here(self) -> None:
        """Open Granite or its substitute where the file lies here, is sound and fits; else the embedded model."""
        default, substitute = catalogue()[DEFAULT], catalogue()[SUBSTITUTE]
        for entry in (default, substitute):
            if path := self._find(entry):
                try:
                    self._require_memory(entry)
                    self._open(path, entry)
                    break
                except ModelUnusable as error:
                    logger.error("model: %s", error)
                    self.note = str(error)
        offline = "" if self.settings.downloads else f"{default.label} is not fetched, as HF_HUB_OFFLINE is set."
        if self.engines.current == substitute.name:
            self.note = _answers_for(substitute, self.note or offline or f"{default.label} is not here")
        elif not self.engines.current:
            self._open_entry(catalogue()[EMBEDDED])
            self.note = self.note or offline

    def _load_default_model(self) -> None:
        """Fetch Granite while another model answers; where it cannot be had, its substitute, from any place."""
        default, substitute = catalogue()[DEFAULT], catalogue()[SUBSTITUTE]
        if default.name in self.engines.by_name or not self.settings.downloads:
            return
        try:
            self._open_in_place_of_others(default)
        except ModelUnusable as error:
            logger.error("model: %s", error)
            unreachable = isinstance(error, HubUnreachable)
            self.note = f"{default.label} could not be fetched from the Hub" if unreachable else str(error)
            self._load_substitute(substitute, self.note, ask_hub=not unreachable)

    def _load_substitute(self, entry: Entry, why: str, *, ask_hub: bool) -> None:
        note = _answers_for(entry, why)
        try:
            if entry.name not in self.engines.by_name:
                self._open_in_place_of_others(entry, note, ask_hub=ask_hub)
        except ModelUnusable as error:
            raise ModelUnusable(f"{why.removesuffix('.')}. {error}") from error
        self.note = note

    def _open_in_place_of_others(self, entry: Entry, note: str = "", *, ask_hub: bool = True) -> None:
        """Fetch an entry that fits the memory, and let it answer from the next conversation on, under this note."""
        self._require_memory(entry)
        path = self._find(entry) or self._fetch(entry, ask_hub=ask_hub)
        self._require_memory(entry)
        before, self.note = self.note, note  # what stood there spoke of the model that answered until now
        try:
            self._open(path, entry)
        except ModelUnusable:
            self.note = before
            raise

    def _require_memory(self, entry: Entry) -> None:
        if lacks := shortage(entry.label, entry.bytes):
            raise ModelUnusable(lacks)

    @property
    def _models(self) -> Path:
        return self.settings.data / "models"

    def _find(self, entry: Entry) -> Path | None:
        return find(entry, self._models)

    def _fetch(self, entry: Entry, *, ask_hub: bool = True) -> Path:
        self.downloading = entry.label
        try:
            return fetch(entry, self._models, partial(self._report, entry), self.closed.is_set, ask_hub=ask_hub)
        finally:
            self.downloading = ""

    def _open_entry(self, entry: Entry) -> None:
        """Open an entry; where its adapter cannot be used, its base answers without it."""
        try:
            self._open_choice(of_entry(entry))
        except ModelUnusable as error:
            if not entry.base:
                raise
            logger.error("model: %s", error)
            self._open_choice(of_entry(catalogue()[entry.base]))
            self.note = str(error)

    def _open_choice(self, choice: ModelChoice) -> None:
        files = choice.files(lambda entry: self._find(entry) or self._fetch(entry))
        self._open(files.path, files.entry, files.adapter)

    def _report(self, entry: Entry, done: int, total: int) -> None:
        size = total or entry.bytes
        self.downloading = f"{entry.label}: {done // MB:,} of {size // MB:,} MB"

    def _open(self, path: Path, entry: Entry | None, adapter: Adapter | None = None) -> None:
        files, lacks = ModelFiles(path, entry, adapter), ""
        with suppress(OSError):  # whoever opens it says what is wrong
            lacks = shortage(entry.label if entry else path.name, files.bytes)
        opens = partial(open_engine, path, self.settings.data, self.settings.limits, entry, adapter)
        self._serve(engine := opens(), opens)
        if lacks:
            self.note = f"{lacks} Answers will be slow."
        elif engine.cells < self.settings.limits.cells:
            self.note = f"Memory is short here: all conversations together share {engine.cells:,} tokens."
        threading.Thread(target=self._prove, args=(files, engine.info.name), name="proof", daemon=True).start()

    def _prove(self, files: ModelFiles, name: str) -> None:
        """Read all files once more while they serve already, and take the model out of service if one has rotted."""
        adapter = [(files.adapter.path, files.adapter.entry)] if files.adapter else []
        for path, entry in [(files.path, files.entry), *adapter]:
            try:
                prove(path, entry, self.settings.data / "digests.json")
            except ModelUnusable as error:
                self._retire(name, str(error))
                return
            except OSError as error:
                logger.warning("%s cannot be read again: %s", path, error.strerror)

    def _retire(self, name: str, why: str) -> None:
        """Take a model out of service: another model answers, or the documentation alone."""
        logger.error("model: %s", why)
        engine = self.engines.retire(name)
        self.note = why
        self.status["model"] = "ready" if self.engine else f"failed: {why}"
        if engine:
            engine.close()
        if self.engine is None and self._is_auto and name != EMBEDDED:
            self._attempt("model", lambda: self._open_entry(catalogue()[EMBEDDED]))

    def _serve(self, engine: Engine, opener: Opener | None = None) -> None:
        """Let an engine answer from the next conversation on. opener: opens it once more should it end."""
        self.engines.serve(engine, opener)
        self.status["model"] = "ready"
        if self.retriever:
            self.on_ready(engine)

    def _load_search(self) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self.status["router"] = self.status["search"] = "loading"
        embedder = self._open_encoder()
        self._attempt("router", lambda: self._load_router(embedder))
        self._ready.set()
        self._attempt("tools", self._start_tools)
        try:
            self._use_index(embedder)
        except (RagError, OSError):
            threading.Thread(target=self._await_mending, args=(embedder,), name="mending", daemon=True).start()
            raise

    def _open_encoder(self) -> WordEncoder:
        return Embedder(self.settings.embedding) if self.settings.embedding else Embedder()

    def _start_tools(self) -> None:
        self.status["tools"] = "loading"
        self.sandbox.list_tools()  # starts its worker, so that nobody waits for that later
        self.status["tools"] = "ready"

    def _use_index(self, embedder: WordEncoder) -> None:
        self.retriever = self._open_retriever(embedder)
        self.status["search"] = "ready"
        if self.engine:
            self.on_ready(self.engine)
        self.retriever.read_ahead()

    def _await_mending(self, embedder: WordEncoder) -> None:
        """Look again from time to time whether the command that the message names has been run."""
        while self.retriever is None and not self.closed.wait(MENDING_S):
            with suppress(RagError, OSError):
                self._use_index(embedder)
                self.note = ""

    def _load_router(self, embedder: WordEncoder) -> None:
        self.routing = routing_without_classifiers(embedder)
        self.menu = ToolMenu.of(load_prompt_texts(PROMPTS).menu, Registry.default().schemas())
        ships = embedder.name == DEFAULT_MODEL  # with its classifiers; any other encoder's are trained here, once
        folder = ARTEFACT if ships else self.settings.data / "routing"
        try:
            self.routing = load_routing(embedder, folder)
        except ArtefactStale:
            if ships:
                raise
            threading.Thread(target=self._train_router, args=(embedder, folder), name="training", daemon=True).start()
        else:
            self.status["router"] = "ready"

    def _train_router(self, embedder: WordEncoder, folder: Path) -> None:
        """Train the classifiers on another encoder's vectors, once; until then no topics or checks are told apart."""
        self.status["router"] = (
            f"limited: being trained for {embedder.name}, a few minutes; until then no topics or checks"
        )

        def train_and_load() -> None:
            self._train(embedder, folder)
            self.routing = load_routing(embedder, folder)
            self.status["router"] = "ready"

        self._attempt("router", train_and_load)

    def _train(self, embedder: WordEncoder, folder: Path) -> None:
        try:
            from onboarding.routing.train import train  # needs what only training needs
        except ImportError as error:
            raise ArtefactStale(f"Topics and checks are off with {embedder.name}: {error}") from error
        train(embedder, folder)

    def _open_retriever(self, embedder: WordEncoder) -> Searching:
        settings = self.settings
        if settings.index:
            return Retriever(load(settings.index, embedder), embedder, threshold=settings.abstain_below)
        own = open_or_build(CORPUS, settings.data / "index", embedder, self._indexing, settings.abstain_below)
        upstream = settings.upstream or settings.data / "upstream"
        try:
            return with_upstream(own, upstream, embedder, settings.abstain_below, required=bool(settings.upstream))
        except (RagError, OSError) as error:  # our own pages answer without it
            logger.error("search: upstream's text is left out: %s", error)
            return own

    def _indexing(self, done: int, total: int) -> None:
        self.status["search"] = f"building {done}/{total}"


def _answers_for(entry: Entry, why: str) -> str:
    """Return the note below a model's name where it answers instead of a better one."""
    return f"{entry.about[:1].upper()}{entry.about[1:]} answers; {why.removesuffix('.')}."
