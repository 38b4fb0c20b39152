"""The page of schedules: entities of the SDK's `durabletask.scheduled`, read as it reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from durabletask.scheduled import ScheduleStatus
from durabletask.scheduled.models import ScheduleState
from durabletask.scheduled.schedule_entity import DELETE_OPERATION, ENTITY_NAME
from durabletask.scheduled.transitions import PAUSE_SCHEDULE, RESUME_SCHEDULE
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from dts_emulator.dashboard import json_twin
from dts_emulator.dashboard.links import schedules_path
from dts_emulator.dashboard.models import EntityView
from dts_emulator.dashboard.renderer import Renderer, form_of, http_errors, wants_json

SCHEDULES_PER_PAGE = 50

_OPERATIONS = (PAUSE_SCHEDULE, RESUME_SCHEDULE, DELETE_OPERATION)


@dataclass(frozen=True)
class ScheduleView:
    """A schedule: its orchestrator, interval and next run. `waiting`: its queued operations."""

    schedule_id: str
    entity_id: str
    orchestrator: str
    interval: timedelta
    status: str
    next_run_at: datetime | None
    last_run_at: datetime | None
    end_at: datetime | None
    waiting: int


class SchedulePages:
    """Lists schedules; pauses, resumes and deletes them by signals to their entities."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def schedules(self, request: Request) -> Response:
        """Show a page of the schedules by ID."""
        hub, after = self._renderer.hub(request), request.query_params.get("after", "")
        found = hub.entities(f"@{ENTITY_NAME}@", after, SCHEDULES_PER_PAGE + 1)
        page = found[:SCHEDULES_PER_PAGE]
        schedules = list(_schedules(page))
        if wants_json(request):
            return JSONResponse(json_twin.to_json({"schedules": schedules}))
        next_after = page[-1].entity_id if len(found) > len(page) else None
        return self._renderer.page(
            request, "schedules.html", hub=hub, schedules=schedules, next_after=next_after
        )

    async def post(self, request: Request) -> Response:
        """Send a schedule's entity the operation that a form names."""
        hub, form = self._renderer.hub(request), await form_of(request)
        operation, entity_id = form.get("action", ""), form.get("entity_id", "")
        if operation not in _OPERATIONS or not entity_id.startswith(f"@{ENTITY_NAME}@"):
            raise HTTPException(400, "Unknown action.")
        with http_errors(f"schedule {entity_id}"):
            await run_in_threadpool(hub.signal, entity_id, operation, "")
        return RedirectResponse(f"{schedules_path(hub.name)}?done={operation}", status_code=303)


def _schedules(entities: Iterable[EntityView]) -> Iterator[ScheduleView]:
    """Yield the schedules among entities; another program's entity may have the same name."""
    for entity in entities:
        try:
            state = ScheduleState.from_json(json.loads(entity.state or "null")).to_description()
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            continue
        if state.orchestration_name is None or state.interval is None:
            continue
        yield ScheduleView(
            schedule_id=entity.key,
            entity_id=entity.entity_id,
            orchestrator=state.orchestration_name,
            interval=state.interval,
            status="ACTIVE" if state.status is ScheduleStatus.ACTIVE else "PAUSED",
            next_run_at=_utc(state.next_run_at),
            last_run_at=_utc(state.last_run_at),
            end_at=_utc(state.end_at),
            waiting=len(entity.waiting) + len(entity.running),
        )


def _utc(moment: datetime | None) -> datetime | None:
    """Return a time with its zone, which the SDK omits for UTC."""
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=timezone.utc)
