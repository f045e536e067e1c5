"""Serves the application below a path, whether a proxy in front takes that path off or leaves it on. Pure ASGI."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from onboarding.edge.allowlist import with_headers


class SubPath:
    """Wraps the whole application; what comes without the path passes as it is, as from a proxy that takes it off."""

    def __init__(self, app: ASGIApp, root: str = "") -> None:
        """root: a path such as /navigator, or an address whose path counts; see Settings.root_path."""
        self._app = app
        self._prefix = urlsplit(root).path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on without the path; the path alone leads to the page, by a relative redirect."""
        path = scope.get("path", "")
        if self._prefix and scope["type"] == "http" and path == self._prefix:
            query = scope["query_string"].decode("latin-1")
            redirect = RedirectResponse(f"{self._prefix}/" + (f"?{query}" if query else ""), 308)
            await redirect(scope, receive, with_headers(send))
            return
        if self._prefix and scope["type"] == "http" and path.startswith(f"{self._prefix}/"):
            rest = path[len(self._prefix) :]
            scope = {**scope, "path": rest, "raw_path": rest.encode()}
        await self._app(scope, receive, send)
