"""The dashboard's routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from emulator.views import HubView


def create_app(
    hubs: Mapping[str, HubView],  # noqa: ARG001
    *,
    ready: Callable[[], bool],
    read_only: bool = False,  # noqa: ARG001
) -> Starlette:
    """Return the web application; `ready` says whether gRPC serves."""

    def healthz(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ok" if ready() else "not ready", 200 if ready() else 503)

    return Starlette(routes=[Route("/healthz", healthz)])
