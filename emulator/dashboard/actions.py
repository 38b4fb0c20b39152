"""What a reader can do to an instance. The guard has checked by now who asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from emulator.dashboard.links import hub_path, instance_path
from emulator.views import ActionRefusedError, HubView

# An event of 1 MiB, with three bytes for each as forms write what is no letter, and its name.
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_FIELDS = 20

DONE = {
    "suspend": "Asked to suspend.",
    "resume": "Asked to resume.",
    "terminate": "Asked to terminate.",
    "restart": "Restarted: this is the new instance.",
    "purge": "The instance is purged.",
    "raise_event": "The event is sent.",
}
"""Each action, with what the next page says once it is done."""

ALLOWED = {
    "PENDING": ("terminate", "raise_event"),
    "RUNNING": ("suspend", "terminate", "raise_event"),
    "SUSPENDED": ("resume", "terminate", "raise_event"),
    "COMPLETED": ("restart", "purge"),
    "FAILED": ("restart", "purge"),
    "TERMINATED": ("restart", "purge"),
}
"""The actions that a page offers for each status; the task hub has the last word."""


class Actions:
    """Carries out the forms on an instance's page, then sends the browser to the outcome."""

    def __init__(self, hubs: Mapping[str, HubView]) -> None:
        self._hubs = hubs

    async def post(self, request: Request) -> Response:
        """Do what the form field `action` names."""
        form = _form((await _body(request)).decode(errors="replace"))
        path = request.path_params
        url = await run_in_threadpool(self._act, path["hub"], path["instance_id"], form)
        return RedirectResponse(f"{url}?done={form['action']}", status_code=303)

    def _act(self, hub_name: str, instance_id: str, form: Mapping[str, str]) -> str:
        """Return the address where the outcome can be seen."""
        hub = self._hubs.get(hub_name)
        if hub is None:
            raise HTTPException(404, f"There is no task hub {hub_name}.")
        act = _ACTS.get(form.get("action", ""))
        if act is None:
            raise HTTPException(400, "There is no such action.")
        try:
            return act(hub, instance_id, form)
        except KeyError:
            raise HTTPException(404, f"There is no instance {instance_id}.") from None
        except ActionRefusedError as refusal:
            raise HTTPException(409, str(refusal)) from refusal


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"A form may have at most {MAX_BODY_BYTES:,} bytes.")
    return body


def _form(body: str) -> dict[str, str]:
    try:
        fields = parse_qs(body, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise HTTPException(400, f"A form may have at most {MAX_FIELDS} fields.") from None
    return {name: values[-1] for name, values in fields.items()}


def _suspend(hub: HubView, instance_id: str, form: Mapping[str, str]) -> str:
    hub.suspend(instance_id, form.get("reason", ""))
    return instance_path(hub.name, instance_id)


def _resume(hub: HubView, instance_id: str, form: Mapping[str, str]) -> str:
    hub.resume(instance_id, form.get("reason", ""))
    return instance_path(hub.name, instance_id)


def _terminate(hub: HubView, instance_id: str, form: Mapping[str, str]) -> str:
    hub.terminate(instance_id, form.get("reason", ""))
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
    try:
        json.loads(data or "null")
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"The event's data is not JSON: {error}.") from error
    hub.raise_event(instance_id, name, data)
    return instance_path(hub.name, instance_id)


_ACTS: Mapping[str, Callable[[HubView, str, Mapping[str, str]], str]] = {
    "suspend": _suspend,
    "resume": _resume,
    "terminate": _terminate,
    "restart": _restart,
    "purge": _purge,
    "raise_event": _raise_event,
}
