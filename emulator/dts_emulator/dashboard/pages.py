"""The pages of task hubs, their instances and their workers, each also as JSON for scripts."""

from __future__ import annotations

from datetime import datetime, timezone

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from dts_emulator.dashboard import json_twin
from dts_emulator.dashboard.failed import failure_path, steps_of_detail
from dts_emulator.dashboard.instance_page import InstancePage
from dts_emulator.dashboard.links import hub_path, instance_path
from dts_emulator.dashboard.listing import AGES, listing_of
from dts_emulator.dashboard.models import ALLOWED, InstanceDetail, InstanceQuery
from dts_emulator.dashboard.renderer import Renderer, http_errors, wants_json


class Pages:
    """Renders the task hubs as they are at the moment of the request."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def hubs(self, request: Request) -> Response:
        """Show every task hub with its counts and workers."""
        hubs = [(hub, hub.count_by_status(InstanceQuery())) for hub in self._renderer.hubs.values()]
        return self._renderer.page(request, "hubs.html", hubs=hubs)

    def instances(self, request: Request) -> Response:
        """Show a page of a task hub's instances, newest first."""
        if wants_json(request):
            return self.instances_json(request)
        hub = self._renderer.hub(request)
        now = datetime.now(timezone.utc)
        listing = listing_of(hub, request.query_params, now)
        everything = sum(hub.count_by_status(InstanceQuery(top_level=False)).values())
        return self._renderer.page(
            request, "instances.html", hub=hub, listing=listing, everything=everything, ages=AGES
        )

    def instances_json(self, request: Request) -> Response:
        """Return the same page of instances as JSON."""
        hub = self._renderer.hub(request)
        found = listing_of(hub, request.query_params, datetime.now(timezone.utc))
        return JSONResponse(
            json_twin.listing(
                hub.name, hub.worker_count(), found.counts, found.instances, found.pager
            )
        )

    def instance(self, request: Request) -> Response:
        """Show one instance; an ID that ends in .json takes precedence over another's JSON page."""
        hub, instance_id = self._renderer.hub(request), request.path_params["instance_id"]
        as_json = wants_json(request)
        detail = hub.instance(instance_id)
        if detail is None and instance_id.endswith(".json"):
            as_json = True
            detail = hub.instance(instance_id.removesuffix(".json"))
        if detail is None:
            raise HTTPException(404, f"There is no instance {instance_id} in task hub {hub.name}.")
        steps = steps_of_detail(detail)
        if as_json:
            return JSONResponse(json_twin.instance(detail, steps))
        path = failure_path(hub.name, hub.instance, detail, steps) if detail.failure else []
        now = datetime.now(timezone.utc)
        page = InstancePage(detail, steps, request.query_params, now, path)
        return self._renderer.page(
            request, "instance.html", hub=hub, page=page, actions=self._actions(detail)
        )

    def _actions(self, detail: InstanceDetail) -> list[str]:
        if self._renderer.read_only:
            return []
        status = detail.instance.status
        return [action for action, statuses in ALLOWED.items() if status in statuses]

    def history_file(self, request: Request) -> Response:
        """Return an instance's history as a file, in the protocol's JSON form."""
        hub, instance_id = self._renderer.hub(request), request.path_params["instance_id"]
        with http_errors(f"instance {instance_id}"):
            content = hub.history_file(instance_id)
        name = "".join(c if c.isalnum() and c.isascii() else "-" for c in instance_id)
        headers = {"Content-Disposition": f'attachment; filename="history-{name}.json"'}
        return Response(content, media_type="application/json", headers=headers)

    def workers(self, request: Request) -> Response:
        """Show the workers of a task hub, and its queued work items."""
        hub = self._renderer.hub(request)
        workers, waiting = hub.workers(), hub.waiting()
        if wants_json(request):
            return JSONResponse(json_twin.to_json({"workers": workers, "waiting": waiting}))
        return self._renderer.page(
            request, "workers.html", hub=hub, streams=workers, waiting_items=waiting
        )

    def as_in_docker(self, request: Request) -> Response:
        """Redirect a URL of the Docker emulator's dashboard."""
        path = request.path_params
        instance_id = path.get("instance_id")
        return RedirectResponse(
            instance_path(path["hub"], instance_id) if instance_id else hub_path(path["hub"])
        )
