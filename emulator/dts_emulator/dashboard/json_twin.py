"""The pages' content as plain values for JSON. JSON payloads appear as values, not as text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from durabletask.history import HistoryEvent
from durabletask.task import FailureDetails

from dts_emulator.dashboard import text
from dts_emulator.dashboard.links import Pager
from dts_emulator.dashboard.models import (
    ORCHESTRATION_STATUSES,
    HubView,
    InstanceDetail,
    InstanceQuery,
    InstanceView,
)
from dts_emulator.dashboard.steps import Step
from dts_emulator.engine.model import StepCounts

Json = dict[str, Any]

# Programs that read JSON give up at some depth; deeper values are given as text.
MAX_DEPTH = 100


def listing(
    hub: HubView, instances: Iterable[InstanceView], pager: Pager, wanted: InstanceQuery
) -> Json:
    """Describe one page of a task hub's instances."""
    return {
        "task_hub": hub.name,
        "workers": hub.worker_count(),
        "counts": hub.count_by_status(wanted),
        "total": pager.total,
        "page": pager.page,
        "pages": pager.pages,
        "instances": [_head(view) for view in instances],
    }


def instance(detail: InstanceDetail, steps: Sequence[Step]) -> Json:
    """Describe one instance with all its steps and history events."""
    return {
        **_head(detail.instance),
        "trace_id": detail.trace_id,
        "has_no_pending_task": detail.has_no_pending_task,
        "input": _value(detail.input),
        "output": _value(detail.output),
        "custom_status": _value(detail.custom_status),
        "failure": _failure(detail.failure),
        "steps": [_step(step) for step in steps],
        "history": [_event(event) for event in detail.history],
    }


def to_json(value: object) -> Any:
    """Return dataclasses, and what they hold, as plain values; durations in seconds."""
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(asdict(value))
    if isinstance(value, dict):
        return {key: to_json(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(member) for member in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    return text.iso(value) if isinstance(value, datetime) else value


def event_type(event: HistoryEvent) -> str:
    """Name an event as the Durable Task protocol does: TaskScheduled."""
    return type(event).__name__.removesuffix("Event")


def event_fields(event: HistoryEvent) -> dict[str, str]:
    """Collect what an event carries besides its time, as text, without what is not set."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in _named_status(event.to_dict()).items()
        if value is not None and name != "timestamp" and (name, value) != ("event_id", -1)
    }


def _head(view: InstanceView) -> Json:
    ended = view.completed_at
    return {
        "instance_id": view.instance_id,
        "name": view.name,
        "display_name": view.shown_name,
        "status": view.status,
        "created_at": text.iso(view.created_at),
        "scheduled_start": _time(view.scheduled_start),
        "last_updated_at": text.iso(view.last_updated_at),
        "completed_at": _time(ended),
        "duration_seconds": (ended - view.created_at).total_seconds() if ended else None,
        "version": view.version,
        "tags": dict(view.tags),
        "parent_id": view.parent_id,
        "children": view.children,
        "progress": _progress(view.progress),
    }


def _step(step: Step) -> Json:
    return {
        "number": step.number,
        "kind": step.kind,
        "name": step.name,
        "display_name": step.shown_name,
        "status": step.status,
        "input": _value(step.input),
        "output": _value(step.output),
        "failure": _failure(step.failure),
        "scheduled_at": text.iso(step.scheduled_at),
        "started_at": _time(step.started_at),
        "ended_at": _time(step.ended_at),
        "waited": _seconds(step.waited),
        "ran": _seconds(step.ran),
        "attempts": len(step.attempts),
        "child_id": step.child_id,
    }


def _named_status(fields: Json) -> Json:
    """Name the statuses, which events give as the protocol's numbers."""
    return {
        name: ORCHESTRATION_STATUSES.get(value, value) if name == "orchestration_status" else value
        for name, value in fields.items()
    }


def _event(event: HistoryEvent) -> Json:
    # Through text and back: an event may hold values that JSON does not know.
    fields = json.loads(json.dumps(_named_status(event.to_dict()), default=str))
    return {"type": event_type(event), **fields}


def _failure(failure: FailureDetails | None) -> Json | None:
    if failure is None:
        return None
    return {
        "type": failure.error_type,
        "message": failure.message,
        "stack_trace": failure.stack_trace,
        "properties": failure.properties or {},
        "inner": _failure(failure.inner_failure),
    }


def _value(value: str | None) -> Any:
    """Return the value behind a JSON text; a text that is no JSON stands for itself."""
    if value is None:
        return None
    try:
        return text.parsed(value, MAX_DEPTH, parse_constant=_refuse, parse_float=_finite)
    except ValueError:
        return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _progress(counts: StepCounts | None) -> Json | None:
    if counts is None:
        return None
    failed = counts.failed.total()
    return {
        "steps": counts.asked.total(),
        "done": counts.done.total(),
        "failed": failed,
        "sub_orchestrations": counts.parts,
    }


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number} is larger than any number that programs know")
    return value


def _time(value: datetime | None) -> str | None:
    return text.iso(value) if value else None
