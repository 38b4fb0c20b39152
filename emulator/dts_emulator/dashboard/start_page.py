"""The page that starts an orchestration, empty or filled from an earlier instance."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dts_emulator.dashboard.hub_adapter import HubAdapter
from dts_emulator.dashboard.links import instance_path
from dts_emulator.dashboard.listing import moment_of
from dts_emulator.dashboard.models import InstanceQuery, Start
from dts_emulator.dashboard.renderer import Renderer, check_json, form_of, http_errors

_FIELDS = ("name", "input", "instance_id", "version", "start_at", "tags")


class StartPage:
    """Shows the form, and starts the orchestration."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def show(self, request: Request) -> Response:
        """Show the form, filled from the instance that `from` in the query names."""
        hub = self._renderer.hub(request)
        if self._renderer.read_only:
            raise HTTPException(403, "This dashboard is read-only.")
        given = _form_from(hub, request.query_params.get("from", ""))
        return self._form(request, hub, given)

    async def post(self, request: Request) -> Response:
        """Start an orchestration; on an error, show it with the form."""
        hub, form = self._renderer.hub(request), await form_of(request)
        try:
            start = _start(form)
            with http_errors(f"instance {start.instance_id}"):
                instance_id = await run_in_threadpool(hub.start, start)
        except HTTPException as error:
            return await run_in_threadpool(self._form, request, hub, form, error)
        path = instance_path(hub.name, instance_id)
        return RedirectResponse(f"{path}?done=start", status_code=303)

    def _form(
        self,
        request: Request,
        hub: HubAdapter,
        form: Mapping[str, str],
        error: HTTPException | None = None,
    ) -> Response:
        return self._renderer.page(
            request,
            "start.html",
            error.status_code if error else 200,
            hub=hub,
            form={**dict.fromkeys(_FIELDS, ""), **form},
            names=_known_names(hub),
            problem=error.detail if error else None,
        )


def _start(form: Mapping[str, str]) -> Start:
    name, given = form.get("name", "").strip(), form.get("input", "").strip()
    if not name:
        raise HTTPException(400, "An orchestration needs the name of its orchestrator.")
    check_json(given, "The input")
    wanted = form.get("start_at", "").strip()
    start_at = moment_of(wanted)
    if wanted and start_at is None:
        raise HTTPException(400, f"Invalid scheduled start {wanted!r}: expected 2026-11-30T08:00.")
    return Start(
        name=name,
        input=given,
        instance_id=form.get("instance_id", "").strip(),
        version=form.get("version", "").strip(),
        tags=_tags(form.get("tags", "")),
        start_at=start_at,
    )


def _tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, separator, value = line.partition("=")
        if not (key.strip() and separator):
            raise HTTPException(400, f"Invalid tag {line!r}: write one key=value pair per line.")
        tags[key.strip()] = value.strip()
    return tags


def _form_from(hub: HubAdapter, instance_id: str) -> dict[str, str]:
    """Return the form for an earlier instance, without its ID, which is in use."""
    detail = hub.instance(instance_id) if instance_id else None
    if detail is None:
        return {}
    view = detail.instance
    return {
        "name": view.name,
        "input": detail.input or "",
        "version": view.version or "",
        "tags": "\n".join(f"{key}={value}" for key, value in view.tags.items()),
    }


def _known_names(hub: HubAdapter) -> list[str]:
    """Return the orchestrators in workers' filters, and recently used ones."""
    listed = {
        name
        for worker in hub.workers()
        for kind in worker.kinds
        if kind.kind == "orchestrator"
        for name in kind.accepts or ()
    }
    recent, _ = hub.instances(InstanceQuery(), limit=20)
    return sorted(listed | {view.name for view in recent})
