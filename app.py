"""Compose the parts from one Settings and serve them: `python app.py`, or `make run`."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GRADIO_CACHE_EXAMPLES", "False")

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.responses import JSONResponse

from model.open import MB, Limits
from onboarding.guard import Guard
from onboarding.guide import Guide
from onboarding.parts import Parts, PartsSettings
from onboarding.ui.diagnostics import DiagnosticsTab
from onboarding.ui.page import Tab, build_page, mount_options
from onboarding.ui.programs import Programs
from onboarding.ui.search import SearchTab
from onboarding.ui.tour_contribute import ContributeTour
from onboarding.ui.tour_diagnostics import DiagnosticsTour
from onboarding.ui.tour_plugins import PluginsTour
from onboarding.ui.tour_rhel10 import Rhel10Tour
from tools.hosts import load_hosts

RAM_SHARE = 4  # the prefix cache may take this fraction of its disk limit in RAM
GRACE_S = 1  # for open streams at shutdown; the engine itself stops within half a second


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the environment can say; README has the table."""

    parts: PartsSettings
    host: str = "127.0.0.1"
    port: int = 7860

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment once; SystemExit with one sentence for a value that makes no sense."""
        limits = Limits(
            threads=_number(env, "THREADS", min(2, os.cpu_count() or 1)),
            slots=_number(env, "SLOTS", 4),
            cells=_number(env, "CONTEXT_CELLS", 8192),
            ram_bytes=_number(env, "CACHE_MB", 2000, least=0) * MB // RAM_SHARE,
            disk_bytes=_number(env, "CACHE_MB", 2000, least=0) * MB,
        )
        parts = PartsSettings(
            model=env.get("MODEL", "auto"),
            engine=env.get("ENGINE", "local"),
            engine_url=env.get("ENGINE_URL", ""),
            data=_writable(Path(env.get("DATA_DIR", ".data"))),
            embedding=env.get("EMBEDDING_MODEL", ""),
            index=Path(env["INDEX"]) if env.get("INDEX") else None,
            limits=limits,
        )
        return cls(parts, env.get("HOST", "127.0.0.1"), _number(env, "PORT", 7860))


def create_app(guide: Guide, *, load_parts: bool = True) -> FastAPI:
    """The page, its health checks and the guard, as one ASGI application; parts load once it is served."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if load_parts:
            guide.parts.start()
        yield
        guide.parts.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    @app.get("/healthz")
    def healthz() -> dict[str, object]:
        """The process serves; what is loaded is for /readyz and the page."""
        return {"status": "ok", "parts": guide.status().parts}

    @app.get("/readyz")
    def readyz() -> JSONResponse:
        """200 once every part answers, 503 while one loads or has failed."""
        parts = guide.status().parts
        ready = all(state == "ready" for state in parts.values())
        return JSONResponse({"ready": ready, "parts": parts}, 200 if ready else 503)

    hosts = load_hosts()
    tours = [tour(guide, hosts) for tour in (Rhel10Tour, DiagnosticsTour, PluginsTour, ContributeTour)]
    tabs = [
        Tab("search", SearchTab(guide).build),
        Tab("diagnostics", DiagnosticsTab(guide, hosts).build),
        *(Tab(tour.name, tour.build) for tour in tours),
    ]
    page = build_page(guide, {host.id: host.title for host in hosts.values()}, tabs, Programs(guide, hosts).build)
    gr.mount_gradio_app(app, page, "/", **mount_options())
    app.add_middleware(Guard)
    return app


def main() -> None:
    """Serve until Ctrl-C; a port in use ends with one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    for library in ("httpx", "huggingface_hub", "sentence_transformers"):
        logging.getLogger(library).setLevel(logging.ERROR)
    settings = Settings.from_env()
    with contextlib.closing(_bind(settings.host, settings.port)) as listener:
        app = create_app(Guide(Parts(settings.parts)))
        logging.getLogger("app").info("http://%s:%d", settings.host, settings.port)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE_S, access_log=False)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        sys.exit(f"Port {port} on {host} cannot be used ({error.strerror}); choose another one with PORT=.")
    return listener


def _number(env: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not text.isdigit() or int(text) < least:
        sys.exit(f"{name}={text} is not a whole number of at least {least}.")
    return int(text)


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".write-test").touch()
        (folder / ".write-test").unlink()
    except OSError as error:
        sys.exit(f"{folder} cannot be written ({error.strerror}); name another folder with DATA_DIR=.")
    return folder.resolve()


if __name__ == "__main__":
    main()
