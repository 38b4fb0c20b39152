"""The pages that one can read, each also as JSON for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.templating import Jinja2Templates

from emulator.dashboard import json_twin, text
from emulator.dashboard.actions import ALLOWED, DONE
from emulator.dashboard.instance_page import InstancePage
from emulator.dashboard.links import Pager, hub_path, instance_path, page_number, query_changer
from emulator.dashboard.timeline import steps_of
from emulator.views import STATUSES, HubView, InstanceView

INSTANCES_PER_PAGE = 50


@dataclass(frozen=True)
class Listing:
    """The instances of a task hub that a request asks for."""

    hub: HubView
    instances: list[InstanceView]
    pager: Pager
    status: str | None
    search: str


class Pages:
    """Renders the task hubs as they are at the moment of the request."""

    def __init__(self, hubs: Mapping[str, HubView], *, read_only: bool) -> None:
        self._hubs = hubs
        self._templates = Jinja2Templates(env=_environment())
        self._allowed: Mapping[str, tuple[str, ...]] = {} if read_only else ALLOWED

    def hubs(self, request: Request) -> Response:
        """Show every task hub with its counts and workers."""
        return self._page(request, "hubs.html", hubs=self._hubs.values())

    def instances(self, request: Request) -> Response:
        """Show a page of a task hub's instances, newest first."""
        if _wants_json(request):
            return self.instances_json(request)
        listing = self._listing(request)
        counts = listing.hub.count_by_status()
        return self._page(
            request, "instances.html", hub=listing.hub, listing=listing, counts=counts
        )

    def instances_json(self, request: Request) -> Response:
        """Give the same page of instances to scripts."""
        listing = self._listing(request)
        return JSONResponse(json_twin.listing(listing.hub, listing.instances, listing.pager))

    def instance(self, request: Request) -> Response:
        """Show one instance; an ID that ends in .json wins over the JSON twin of another."""
        hub, instance_id = self._hub(request), request.path_params["instance_id"]
        as_json = _wants_json(request)
        detail = hub.instance(instance_id)
        if detail is None and instance_id.endswith(".json"):
            as_json = True
            detail = hub.instance(instance_id.removesuffix(".json"))
        if detail is None:
            raise HTTPException(404, f"There is no instance {instance_id} in task hub {hub.name}.")
        steps = steps_of(detail.history, ended=detail.instance.completed_at is not None)
        if as_json:
            return JSONResponse(json_twin.instance(detail, steps))
        page = InstancePage(detail, steps, request.query_params, datetime.now(timezone.utc))
        actions = self._allowed.get(detail.instance.status, ())
        return self._page(request, "instance.html", hub=hub, page=page, actions=actions)

    def error(self, request: Request, error: Exception) -> Response:
        """Say what is wrong, as a page or as JSON."""
        assert isinstance(error, HTTPException)
        if _wants_json(request) or request.url.path.endswith(".json"):
            return JSONResponse({"error": error.detail}, error.status_code)
        return self._page(request, "error.html", error.status_code, error=error)

    def _hub(self, request: Request) -> HubView:
        name = request.path_params["hub"]
        if name not in self._hubs:
            raise HTTPException(404, f"There is no task hub {name}.")
        return self._hubs[name]

    def _listing(self, request: Request) -> Listing:
        hub, asked = self._hub(request), request.query_params
        status = asked.get("status")
        if status not in STATUSES:
            status = None
        search, number = asked.get("search", "").strip(), page_number(asked.get("page"))
        while True:
            offset = (number - 1) * INSTANCES_PER_PAGE
            found, total = hub.instances(
                status=status, search=search, offset=offset, limit=INSTANCES_PER_PAGE
            )
            pager = Pager(total, INSTANCES_PER_PAGE, number)
            if found or number == pager.page:
                return Listing(hub, found, pager, status, search)
            number = pager.page

    def _page(
        self, request: Request, template: str, status_code: int = 200, **context: object
    ) -> Response:
        context |= {
            "now": datetime.now(timezone.utc),
            "notice": DONE.get(request.query_params.get("done", "")),
            "query": query_changer(request.query_params),
        }
        return self._templates.TemplateResponse(request, template, context, status_code)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": text.clock,
        "count": text.count,
        "duration": text.duration,
        "excerpt": text.excerpt,
        "iso": text.iso,
        "one_line": text.one_line,
        "precise": text.precise,
        "tick": text.tick,
    }
    environment.globals |= {
        "hub_path": hub_path,
        "instance_path": instance_path,
        "statuses": STATUSES,
    }
    return environment


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted
