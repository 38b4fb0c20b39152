"""Actions on instances. The middleware has already checked host and origin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dts_emulator.dashboard.hub_adapter import HubAdapter
from dts_emulator.dashboard.links import hub_path, instance_path
from dts_emulator.dashboard.listing import moment_of, parse_query
from dts_emulator.dashboard.renderer import Renderer, check_json, form_of, http_errors


class Actions:
    """Processes the forms of instances' pages, then redirects to the result."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    async def post(self, request: Request) -> Response:
        """Perform the action that the form field `action` names."""
        hub, form = self._renderer.hub(request), await form_of(request)
        instance_id, action = request.path_params["instance_id"], form.get("action", "")
        act = _ACTS.get(action)
        if act is None:
            raise HTTPException(400, "Unknown action.")
        with http_errors(f"instance {instance_id}"):
            url = await run_in_threadpool(act, hub, instance_id, form)
        return RedirectResponse(f"{url}?done={action}", status_code=303)

    async def purge_all(self, request: Request) -> Response:
        """Purge the ended instances that the list showed, excluding those created since."""
        hub, form = self._renderer.hub(request), await form_of(request)
        shown_at = moment_of(form.get("shown_at", ""))
        if form.get("action") != "purge_all" or shown_at is None:
            raise HTTPException(400, "Unknown action.")
        wanted = parse_query(form, shown_at)
        end = min(filter(None, (wanted.created_to, shown_at)))
        with http_errors(f"task hub {hub.name}"):
            purged = await run_in_threadpool(hub.purge_all, replace(wanted, created_to=end))
        return RedirectResponse(f"{hub_path(hub.name)}?purged={purged}", status_code=303)


Act = Callable[[HubAdapter, str, Mapping[str, str]], str]


def _with_reason(act: Callable[[HubAdapter, str, str], None]) -> Act:
    """Return an action that passes the form's reason on and redirects to the instance."""

    def run(hub: HubAdapter, instance_id: str, form: Mapping[str, str]) -> str:
        act(hub, instance_id, form.get("reason", ""))
        return instance_path(hub.name, instance_id)

    return run


def _restart(hub: HubAdapter, instance_id: str, _form: Mapping[str, str]) -> str:
    return instance_path(hub.name, hub.restart(instance_id))


def _purge(hub: HubAdapter, instance_id: str, _form: Mapping[str, str]) -> str:
    hub.purge(instance_id)
    return hub_path(hub.name)


def _raise_event(hub: HubAdapter, instance_id: str, form: Mapping[str, str]) -> str:
    name, data = form.get("name", "").strip(), form.get("data", "").strip()
    if not name:
        raise HTTPException(400, "An event needs a name.")
    check_json(data, "The event's data")
    hub.raise_event(instance_id, name, data)
    return instance_path(hub.name, instance_id)


_ACTS: Mapping[str, Act] = {
    "suspend": _with_reason(HubAdapter.suspend),
    "resume": _with_reason(HubAdapter.resume),
    "terminate": _with_reason(HubAdapter.terminate),
    "rewind": _with_reason(HubAdapter.rewind),
    "restart": _restart,
    "purge": _purge,
    "raise_event": _raise_event,
}
