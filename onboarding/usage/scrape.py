"""Serves /metrics for Prometheus: to nobody, to a scraper on the same machine, or to everybody."""

from __future__ import annotations

import ipaddress
from typing import Literal

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

PATH = "/metrics"
Audience = Literal["nobody", "loopback", "everybody"]
FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip")  # a proxy on the same machine is not the scraper


def add_metrics_route(app: FastAPI, registry: CollectorRegistry, audience: Audience) -> None:
    """Serve the registry at /metrics to `audience`; answer 404 to anybody else."""

    @app.get(PATH)
    def metrics(request: Request) -> Response:
        if audience == "nobody" or (audience == "loopback" and not _is_local(request)):
            return PlainTextResponse("Not found", 404)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _is_local(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
