"""What a reader can do to instances. The guard has checked by now who asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dts_emulator.dashboard.links import hub_path, instance_path
from dts_emulator.dashboard.listing import moment_of, parse_query
from dts_emulator.dashboard.models import HubView
from dts_emulator.dashboard.renderer import Renderer, form_of, http_errors


class Actions:
    """Carries out the forms of instances' pages, then sends the browser to the outcome."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    async def post(self, request: Request) -> Response:
        """Do what the form field `action` names to one instance."""
        hub, form = self._renderer.hub(request), await form_of(request)
        instance_id, action = request.path_params["instance_id"], form.get("action", "")
        act = _ACTS.get(action)
        if act is None:
            raise HTTPException(400, "There is no such action.")
        with http_errors(f"instance {instance_id}"):
            url = await run_in_threadpool(act, hub, instance_id, form)
        return RedirectResponse(f"{url}?done={action}", status_code=303)

    async def purge_all(self, request: Request) -> Response:
        """Purge what the list has shown: the ended instances of its filter, none created since."""
        hub, form = self._renderer.hub(request), await form_of(request)
        shown_at = moment_of(form.get("shown_at", ""))
        if form.get("action") != "purge_all" or shown_at is None:
            raise HTTPException(400, "There is no such action.")
        wanted = parse_query(form, shown_at)
        end = min(filter(None, (wanted.created_to, shown_at)))
        with http_errors(f"task hub {hub.name}"):
            purged = await run_in_threadpool(hub.purge_all, replace(wanted, created_to=end))
        return RedirectResponse(f"{hub_path(hub.name)}?purged={purged}", status_code=303)


def check_json(text: str, what: str) -> None:
    """Refuse a text that is not JSON, unless it is empty; `what` names it for the reader."""
    try:
        json.loads(text or "null")
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"{what} is not JSON: {error}.") from error


def _suspend(hub: HubView, instance_id: str, form: Mapping[str, str]) -> str:
    hub.suspend(instance_id, form.get("reason", ""))
    return instance_path(hub.name, instance_id)


def _resume(hub: HubView, instance_id: str, form: Mapping[str, str]) -> str:
    hub.resume(instance_id, form.get("reason", ""))
    return instance_path(hub.name, instance_id)


def _terminate(hub: HubView, instance_id: str, form: Mapping[str, str]) -> str:
    hub.terminate(instance_id, form.get("reason", ""))
    return instance_path(hub.name, instance_id)


def _rewind(hub: HubView, instance_id: str, form: Mapping[str, str]) -> str:
    hub.rewind(instance_id, form.get("reason", ""))
    return instance_path(hub.name, instance_id)


def _restart(hub: HubView, instance_id: str, _form: Mapping[str, str]) -> str:
    return instance_path(hub.name, hub.restart(instance_id))


def _purge(hub: HubView, instance_id: str, _form: Mapping[str, str]) -> str:
    hub.purge(instance_id)
    return hub_path(hub.name)


def _raise_event(hub: HubView, instance_id: str, form: Mapping[str, str]) -> str:
    name, data = form.get("name", "").strip(), form.get("data", "").strip()
    if not name:
        raise HTTPException(400, "An event needs a name.")
    check_json(data, "The event's data")
    hub.raise_event(instance_id, name, data)
    return instance_path(hub.name, instance_id)


_ACTS: Mapping[str, Callable[[HubView, str, Mapping[str, str]], str]] = {
    "suspend": _suspend,
    "resume": _resume,
    "terminate": _terminate,
    "rewind": _rewind,
    "restart": _restart,
    "purge": _purge,
    "raise_event": _raise_event,
}
