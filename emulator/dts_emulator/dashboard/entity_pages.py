"""The pages of a task hub's entities: the list, and one entity with its operations."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from dts_emulator.dashboard import json_twin
from dts_emulator.dashboard.links import entity_path
from dts_emulator.dashboard.renderer import Renderer, check_json, form_of, http_errors, wants_json

ENTITIES_PER_PAGE = 50


class EntityPages:
    """Shows entities, and sends them signals."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def entities(self, request: Request) -> Response:
        """Show a page of the entities by ID."""
        hub, asked = self._renderer.hub(request), request.query_params
        search = asked.get("search", "").strip()
        prefix = search if search.startswith("@") or not search else f"@{search}"
        found = hub.entities(prefix, asked.get("after", ""), ENTITIES_PER_PAGE + 1)
        page, is_last = found[:ENTITIES_PER_PAGE], len(found) <= ENTITIES_PER_PAGE
        if wants_json(request):
            return JSONResponse(json_twin.to_json({"entities": page}))
        return self._renderer.page(
            request, "entities.html", hub=hub, entities=page, is_last=is_last, search=search
        )

    def entity(self, request: Request) -> Response:
        """Show one entity; one that does not exist can still be signalled."""
        hub, entity_id = self._renderer.hub(request), request.path_params["entity_id"]
        entity = hub.entity(entity_id)
        if entity is None and not _is_entity_id(entity_id):
            raise HTTPException(404, f"There is no entity {entity_id} in task hub {hub.name}.")
        if wants_json(request):
            return JSONResponse(json_twin.to_json({"entity": entity}))
        return self._renderer.page(
            request,
            "entity.html",
            hub=hub,
            entity=entity,
            entity_id=entity_id,
            show=request.query_params.get("show"),
        )

    async def signal(self, request: Request) -> Response:
        """Signal the operation that a form names."""
        hub, entity_id = self._renderer.hub(request), request.path_params["entity_id"]
        form = await form_of(request)
        operation, data = form.get("name", "").strip(), form.get("data", "").strip()
        if not operation:
            raise HTTPException(400, "A signal needs the name of an operation.")
        check_json(data, "The operation's input")
        with http_errors(f"entity {entity_id}"):
            await run_in_threadpool(hub.signal, entity_id, operation, data)
        return RedirectResponse(f"{entity_path(hub.name, entity_id)}?done=signal", status_code=303)


def _is_entity_id(text: str) -> bool:
    name, separator, _ = text[1:].partition("@")
    return text.startswith("@") and bool(name and separator)
