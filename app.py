"""Compose the parts from one Settings and serve them: `python app.py`, or `make run`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# The queue's own statistics, which nobody here can read, are a pandas table of 10,000 calls, made anew at each call.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(sys.maxsize))
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GRADIO_CACHE_EXAMPLES", "False")
os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # else a crash in llama.cpp starts a debugger on this process

import gradio as gr
import uvicorn
from fastapi import FastAPI

from onboarding.api import Programs
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts
from onboarding.edge.admission import Admission, carried
from onboarding.edge.allowlist import Allowlist
from onboarding.edge.call_check import CallCheck
from onboarding.edge.client_address import ClientAddress, asker_of
from onboarding.edge.cpu_budget import CpuBudget, meter_handlers, meter_threads
from onboarding.edge.page_cache import PageCache
from onboarding.edge.rate_limits import RateLimits, Rates
from onboarding.edge.sessions import Sessions, SessionStreams, SmallSessions, keep_small
from onboarding.edge.sockets.connections import HEADER_BYTES, KEEP_ALIVE_S, bounded, most_connections
from onboarding.edge.sockets.outbound import Outbound, allowed_hosts
from onboarding.edge.sub_path import SubPath
from onboarding.edge.throttle import Throttle
from onboarding.feedback.service import Feedback
from onboarding.mcp_tools import McpAddress, McpTools
from onboarding.operation.gradio_faults import quieten
from onboarding.operation.health import Health, add_health_routes, health
from onboarding.operation.logs import PrintedLines, set_up_logging
from onboarding.operation.memory import give_back_large_blocks
from onboarding.settings import Settings
from onboarding.ui.page.demo import Demo
from onboarding.ui.page.page import Tab, build_page, mount_options
from onboarding.ui.tabs.diagnostics import DiagnosticsTab
from onboarding.ui.tabs.insights import InsightsTab
from onboarding.ui.tabs.search import SearchTab
from onboarding.ui.tours.contribute import ContributeTour
from onboarding.ui.tours.diagnostics import DiagnosticsTour
from onboarding.ui.tours.plugins import PluginsTour
from onboarding.ui.tours.rhel10 import Rhel10Tour
from onboarding.usage.counted import CountedSandbox
from onboarding.usage.ledger_writer import LedgerWriter, ledger_in
from onboarding.usage.recorder import Usage, usage_of_project
from onboarding.usage.scrape import PATH as METRICS
from onboarding.usage.scrape import Audience, add_metrics_route
from tools.simulation.hosts import load_hosts

GRACE_S = 1  # for open streams at shutdown; the engine itself stops within half a second


@dataclass(frozen=True, slots=True)
class Around:
    """The services around the guide. By default they count usage in memory and limit nobody."""

    usage: Usage = field(default_factory=usage_of_project)
    admission: Admission | None = None  # by default it limits nobody but by the wait for the engine's slots
    writer: LedgerWriter | None = None  # carries usage to the disk; without one it stays in memory
    trust: str = ""  # as in Settings
    metrics: Audience = "nobody"
    feedback: Feedback | None = None  # without it nobody is asked for any
    root_path: str = ""  # as in Settings
    hosts: tuple[str, ...] = ()  # as in Settings
    api_token: str = ""  # as in Settings


def create_app(guide: Guide, around: Around | None = None, *, load_parts: bool = True) -> FastAPI:
    """Return the page, its health checks and the edge as one ASGI application; parts load once it is served."""
    around = around or Around()
    usage, feedback = around.usage, around.feedback
    guide.keeps_feedback = feedback is not None
    admission = around.admission or Admission(at_once=guide.parts.settings.limits.slots)
    writer = around.writer or LedgerWriter(usage.registry)
    usage.watch_queue(lambda: float(admission.waiting.ahead))
    sessions = Sessions(admission.limits)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if load_parts:
            guide.parts.start()
        writer.start()
        if feedback:
            feedback.start()
        sweeping = asyncio.create_task(keep_small(page, sessions.open_pages))
        yield
        sweeping.cancel()
        guide.parts.close()
        if feedback:
            feedback.close()
        writer.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    def look() -> Health:
        troubles = {"usage": writer.trouble} | ({"feedback": feedback.status().trouble} if feedback else {})
        return health(guide.status().parts, guide.parts.silent_s, troubles)

    add_health_routes(app, look)
    add_metrics_route(app, usage.registry, around.metrics)
    quieten()
    hosts = load_hosts()
    tours = [tour(guide, hosts) for tour in (Rhel10Tour, DiagnosticsTour, PluginsTour, ContributeTour)]
    tabs = [
        Tab("search", SearchTab(guide).build),
        Tab("diagnostics", DiagnosticsTab(guide, hosts).build),
        *(Tab(tour.name, tour.build, tour=True) for tour in tours),
        Tab("insights", InsightsTab(writer.rows, usage.tours, guide.routes).build),
    ]
    titles = {host.id: host.title for host in hosts.values()}
    programs = Programs(guide, hosts, usage, admission)
    page = build_page(
        guide, titles, tabs, programs.build, usage=usage, admission=admission, feedback=feedback, demo=Demo(guide)
    )
    gr.mount_gradio_app(app, page, "/", root_path=around.root_path, **mount_options())
    McpTools(programs.endpoints()).serve(page, str(page.title))
    budget = CpuBudget(admission.limits.rates.cpu_share)
    meter_threads()
    meter_handlers(
        page, lambda request: budget.payer(asker_of(request).address), lambda r: admission.release(carried(r))
    )
    app.add_middleware(McpAddress, token=around.api_token)
    app.add_middleware(SessionStreams, sessions=sessions, page=page)
    mounted = next(inner for route in app.routes if isinstance(inner := getattr(route, "app", None), gr.routes.App))
    mounted.state_holder = SmallSessions()
    mounted.state_holder.set_blocks(page)
    app.add_middleware(PageCache, forget=lambda: setattr(mounted, "api_info", None))
    extra = () if around.metrics == "nobody" else (METRICS,)
    app.add_middleware(Allowlist, CallCheck(page, admission, sessions, around.api_token), extra=extra)
    app.add_middleware(Throttle, limits=admission.limits, budget=budget, refused=usage.refused)
    app.add_middleware(SubPath, root=around.root_path)
    # Outermost: everything inside sees who really asks.
    app.add_middleware(ClientAddress, trust=around.trust, hosts=around.hosts)
    return app


def main() -> None:
    """Serve until Ctrl-C or SIGTERM, and end with 0; a port in use ends with one sentence."""
    argparse.ArgumentParser(
        prog="python app.py", description="Serve the page. Settings are environment variables: see README.md."
    ).parse_args()
    give_back_large_blocks()
    # uvicorn hands a signal on once it has closed everything; SIGTERM's own default would then end us with an error.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        _serve(Settings.from_env())
    # Everything is closed and written by now. The interpreter's own ending would take seconds over the web server's
    # threads, and abort the process where one of them is still inside llama.cpp or torch.
    logging.shutdown()
    os._exit(0)


def _serve(settings: Settings) -> None:
    set_up_logging(settings.log)
    with contextlib.closing(_bind(settings.host, settings.port)) as listener:
        usage = usage_of_project()
        parts = Parts(settings.parts, CountedSandbox(usage))
        writer = LedgerWriter(usage.registry, ledger_in(settings.parts.data))
        admission = Admission(
            RateLimits(Rates(settings.asks)), usage.refused, settings.parts.limits.slots, settings.longest_wait_s
        )
        feedback = Feedback.of(settings.feedback, usage.feedback, usage.upload_failed)
        usage.watch_uploads(lambda: float(feedback.status().files_waiting))
        around = Around(
            usage, admission, writer, settings.trust, settings.metrics, feedback, settings.root_path, settings.hosts,
            settings.api_token,
        )  # fmt: skip
        app = create_app(Guide(parts, usage.turn), around)
        Outbound(allowed_hosts(settings.parts.engine_url)).watch()
        logging.getLogger("app").info("%s", _address(settings.host, settings.port))
        config = uvicorn.Config(
            app, log_config=None, log_level="warning", timeout_graceful_shutdown=GRACE_S, access_log=False,
            proxy_headers=False,  # the edge's part
            http=bounded(admission.limits.rates.open_requests, settings.trust), ws="none",
            h11_max_incomplete_event_size=HEADER_BYTES, timeout_keep_alive=KEEP_ALIVE_S,
            limit_concurrency=most_connections(),
        )  # fmt: skip
        printed = contextlib.redirect_stderr(PrintedLines()) if settings.log == "json" else contextlib.nullcontext()
        with printed:
            uvicorn.Server(config).run(sockets=[listener])


def _bind(host: str, port: int) -> socket.socket:
    try:
        kind, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with contextlib.ExitStack() as failing:
            listener = failing.enter_context(socket.socket(kind, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            failing.pop_all()
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "no such name"
        sys.exit(f"Port {port} on {host} cannot be used ({why}); choose another one with PORT=, or another HOST=.")
    return listener


def _address(host: str, port: int) -> str:
    """Return the address to open, an IPv6 one in its brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


if __name__ == "__main__":
    main()
