"""Assembles the dashboard: its routes, middleware and error handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from dts_emulator.dashboard.actions import Actions
from dts_emulator.dashboard.entity_pages import EntityPages
from dts_emulator.dashboard.file_pages import FilePages
from dts_emulator.dashboard.guard import HostAndOriginMiddleware
from dts_emulator.dashboard.hub_adapter import HubAdapter
from dts_emulator.dashboard.pages import Pages
from dts_emulator.dashboard.renderer import Renderer
from dts_emulator.dashboard.schedule_pages import SchedulePages
from dts_emulator.dashboard.start_page import StartPage
from dts_emulator.engine.errors import UnavailableError

_STATIC = Path(__file__).parent / "static"


def create_app(
    hubs: Mapping[str, HubAdapter],
    *,
    ready: Callable[[], bool],
    read_only: bool = False,
    allowed_hosts: Iterable[str] = (),
) -> Starlette:
    """Make the dashboard of these task hubs.

    It accepts localhost, its addresses and `allowed_hosts` as host names; an address there that
    means every interface, such as 0.0.0.0, allows every host name.
    """
    renderer = Renderer(hubs, read_only=read_only)
    return Starlette(
        routes=_routes(renderer, ready),
        middleware=[Middleware(HostAndOriginMiddleware, allowed_hosts=tuple(allowed_hosts))],
        exception_handlers={HTTPException: renderer.error, UnavailableError: renderer.unavailable},
    )


def _routes(renderer: Renderer, ready: Callable[[], bool]) -> list[BaseRoute]:
    """Return the routes; without actions if the dashboard is read-only."""
    pages, entities, schedules = Pages(renderer), EntityPages(renderer), SchedulePages(renderer)
    start, files = StartPage(renderer), FilePages(renderer)

    def healthz(_request: Request) -> Response:
        return PlainTextResponse("ready\n") if ready() else PlainTextResponse("not ready\n", 503)

    hub = "/taskhubs/{hub}"
    # Aspire and VS Code use `default` twice, the Docker emulator's own pages other names.
    docker = "/subscriptions/{subscription}/schedulers/{scheduler}/taskhubs/{hub}"
    instance = hub + "/instances/{instance_id:any_text}"
    entity = hub + "/entities/{entity_id:any_text}"
    routes: list[BaseRoute] = [
        Route("/", pages.hubs),
        Route("/healthz", healthz),
        Route("/history", files.choose),
        Route("/history", files.open, methods=["POST"]),
        Route("/history/{key}", files.show),
        Route(docker, pages.as_in_docker),
        Route(docker + "/orchestrations", pages.as_in_docker),
        Route(docker + "/orchestrations/{instance_id:any_text}", pages.as_in_docker),
        Route(hub + ".json", pages.instances_json),
        Route(hub, pages.instances),
        Route(hub + "/workers", pages.workers),
        Route(hub + "/entities", entities.entities),
        Route(entity, entities.entity),
        Route(hub + "/schedules", schedules.schedules),
        Route(hub + "/start", start.show),
        Route(hub + "/histories/{instance_id:any_text}", pages.history_file),
        Route(instance, pages.instance),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
    if renderer.read_only:
        return routes
    actions = Actions(renderer)
    return [
        *routes,
        Route(hub, actions.purge_all, methods=["POST"]),
        Route(hub + "/start", start.post, methods=["POST"]),
        Route(entity, entities.signal, methods=["POST"]),
        Route(hub + "/schedules", schedules.post, methods=["POST"]),
        Route(instance, actions.post, methods=["POST"]),
    ]
