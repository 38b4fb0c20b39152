"""Puts the dashboard together: which address shows what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from emulator.dashboard.actions import Actions
from emulator.dashboard.guard import Guard
from emulator.dashboard.pages import Pages
from emulator.views import HubView

_STATIC = Path(__file__).parent / "static"


def create_app(
    hubs: Mapping[str, HubView],
    *,
    ready: Callable[[], bool],
    read_only: bool = False,
    allowed_hosts: Iterable[str] = (),
) -> Starlette:
    """Make the dashboard of these task hubs.

    It answers for localhost and its addresses, and for `allowed_hosts`; an address there that
    stands for every interface, such as 0.0.0.0, admits every host name.
    """
    pages = Pages(hubs, read_only=read_only)

    def healthz(_request: Request) -> Response:
        return PlainTextResponse("ready\n") if ready() else PlainTextResponse("not ready\n", 503)

    instance = "/taskhubs/{hub}/instances/{instance_id:any_text}"
    routes = [
        Route("/", pages.hubs),
        Route("/healthz", healthz),
        Route("/taskhubs/{hub}.json", pages.instances_json),
        Route("/taskhubs/{hub}", pages.instances),
        Route(instance, pages.instance),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
    if not read_only:
        routes.insert(-1, Route(instance, Actions(hubs).post, methods=["POST"]))
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, allowed_hosts=tuple(allowed_hosts))],
        exception_handlers={HTTPException: pages.error},
    )
