"""Checks host and origin of requests, and sets security headers.

A web page elsewhere can direct a browser to localhost under its own host name (DNS rebinding) or
with its own form (cross-site request forgery); both are rejected here.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERY_INTERFACE = frozenset({"0.0.0.0", "::"})
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Without a referrer a browser would send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "Vary": "Accept",
}


class HostAndOriginMiddleware:
    """Refuses requests for a host that is not ours and posts from other sites' pages."""

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = _LOOPBACK | {host.strip("[]").lower() for host in allowed_hosts}
        # On every interface, clients use host names that are unknown here.
        self._any_host = bool(self._hosts & _EVERY_INTERFACE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refusal = self._refusal(Headers(scope=scope), scope["method"])
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, headers: Headers, method: str) -> PlainTextResponse | None:
        host = headers.get("host", "")
        name = _hostname(f"//{host}")
        if name is None or not (self._any_host or name in self._hosts):
            return PlainTextResponse("The dashboard does not answer for this host name.\n", 421)
        if method in ("GET", "HEAD"):
            return None
        sender = headers.get("origin") or headers.get("referer") or ""
        if _netloc(sender) != host.lower():
            return PlainTextResponse("Only the dashboard's own pages may do this.\n", 403)
        return None


def _netloc(address: str) -> str | None:
    try:
        return urlsplit(address).netloc.lower()
    except ValueError:
        return None


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
