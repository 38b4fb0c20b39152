"""The pages' content as plain values for JSON. JSON payloads appear as values, not as text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from durabletask.history import HistoryEvent
from durabletask.task import FailureDetails

from dts_emulator.dashboard import text
from dts_emulator.dashboard.links import Pager
from dts_emulator.dashboard.models import (
    InstanceDetail,
    InstanceView,
)
from dts_emulator.dashboard.sdk_history import named_status, type_name
from dts_emulator.dashboard.steps import Step
from dts_emulator.engine.model import StepCounts

Json = dict[str, Any]

# JSON parsers limit the depth; deeper values are returned as text.
MAX_DEPTH = 100


def listing(
    task_hub: str,
    workers: int,
    counts: Mapping[str, int],
    instances: Iterable[InstanceView],
    pager: Pager,
) -> Json:
    """Describe one page of a task hub's instances."""
    return {
        "task_hub": task_hub,
        "workers": workers,
        "counts": dict(counts),
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
    """Return dataclasses as plain values for JSON; durations in seconds."""
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(asdict(value))
    if isinstance(value, dict):
        return {key: to_json(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(member) for member in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    return text.iso(value) if isinstance(value, datetime) else value


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


def _event(event: HistoryEvent) -> Json:
    # A round trip through text: an event may contain values that JSON does not support.
    fields = json.loads(json.dumps(named_status(event.to_dict()), default=str))
    return {"type": type_name(event), **fields}


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
    """Return the value of a JSON text; other text is returned unchanged."""
    if value is None:
        return None
    try:
        return text.parsed(value, MAX_DEPTH, parse_constant=_refuse, parse_float=_finite)
    except ValueError:
        return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not valid JSON")


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
        raise ValueError(f"{number} is too large for a number in JSON")
    return value


def _time(value: datetime | None) -> str | None:
    return text.iso(value) if value else None
