"""What a task hub holds, as plain values for the dashboard. All of it is read under the lock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timezone

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.dashboard.models import (
    STATUSES,
    ChildView,
    EntityView,
    HeldView,
    InstanceDetail,
    InstanceQuery,
    InstanceView,
    WaitingView,
    WorkerView,
    datetime_of,
)
from dts_emulator.dashboard.progress import TreeProgress
from dts_emulator.dashboard.sdk_history import failure_of, public_event
from dts_emulator.engine.events import event_type
from dts_emulator.engine.instances import has_no_pending_task
from dts_emulator.engine.model import ENDED, Entity, Instance
from dts_emulator.engine.reruns import status_name
from dts_emulator.hub.leases import Kind, Leases, WorkerStream
from dts_emulator.hub.messages import require_readable
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.store import Filter

# How long a worker that holds work items may be silent before its page says so.
SILENCE_SECONDS = 30.0


def filter_of(wanted: InstanceQuery, *, any_status: bool = False) -> Filter:
    """Return what a store is asked for the wanted instances; `any_status`: of whatever status."""
    is_status = wanted.status in STATUSES and not any_status
    tag = "=".join(part.strip() for part in wanted.tag.split("=", 1))
    return Filter(
        statuses=frozenset([_number(wanted.status)]) if is_status else frozenset(),
        search=wanted.search,
        tag=tag,
        created_from=nanoseconds_of(wanted.created_from),
        created_to=nanoseconds_of(wanted.created_to),
        top_level=wanted.top_level,
    )


def ended_filter(wanted: InstanceQuery) -> Filter:
    """Return what a store is asked for those of the wanted instances that have ended."""
    found = filter_of(wanted)
    statuses = (found.statuses or ENDED) & ENDED
    # No status has this number: where only others are wanted, none has ended.
    return Filter(**{**vars(found), "statuses": statuses or frozenset([-1])})


def instance_view(hub: TaskHub, tree: TreeProgress, instance: Instance) -> InstanceView:
    """Return an instance as a list shows it; how far it is only while it can get further."""
    return InstanceView(
        instance_id=instance.instance_id,
        name=instance.name,
        status=status_name(instance),
        created_at=datetime_of(instance.created_at),
        last_updated_at=datetime_of(instance.updated_at),
        completed_at=None if instance.completed_at is None else datetime_of(instance.completed_at),
        version=instance.version,
        parent_id=instance.parent_id,
        tags=dict(instance.tags),
        children=len(hub.store.children(instance.instance_id)),
        scheduled_start=(
            None if instance.scheduled_start is None else datetime_of(instance.scheduled_start)
        ),
        progress=None if instance.has_ended else tree.progress(instance),
        problem=instance.problem,
    )


def detail_of(hub: TaskHub, tree: TreeProgress, instance: Instance) -> Callable[[], InstanceDetail]:
    """Read an instance; return what finishes the work without the lock."""
    require_readable(instance)
    view = instance_view(hub, tree, instance)
    events = list(instance.history)
    arrived = list(instance.inbox)
    dispatch_times = dict(instance.dispatch_times)
    values = instance.input, instance.output, instance.custom_status or None
    failure = instance.failure
    children = [hub.store.instance(child) for child in hub.store.children(instance.instance_id)]
    seen = {child.instance_id: _child_view(tree, child) for child in children if child is not None}
    progress = view.progress or tree.progress(instance)
    is_silent = has_no_pending_task(instance)

    def finish() -> InstanceDetail:
        return InstanceDetail(
            InstanceView(**{**vars(view), "progress": progress}),
            *values,
            failure=failure_of(failure),
            history=[public_event(event) for event in events],
            arrived=[public_event(event) for event in arrived],
            dispatch_times={
                (number, datetime_of(scheduled)): (datetime_of(first), datetime_of(last))
                for (number, scheduled), (first, last) in dispatch_times.items()
            },
            children=seen,
            has_no_pending_task=is_silent,
        )

    return finish


def _child_view(tree: TreeProgress, child: Instance) -> ChildView:
    started = tree.summary(child).first_turn_at
    return ChildView(
        instance_id=child.instance_id,
        status=status_name(child),
        started_at=None if started is None else datetime_of(started),
        progress=tree.progress(child),
    )


def entity_view(entity: Entity) -> EntityView:
    """Return an entity as its page shows it."""
    name, _, key = entity.entity_id[1:].partition("@")
    return EntityView(
        entity_id=entity.entity_id,
        name=name,
        key=key,
        updated_at=datetime_of(entity.updated_at),
        locked_by=entity.locked_by,
        state=entity.state,
        waiting=[_operation(item) for item in entity.queue],
        running=[_operation(item) for item in entity.batch],
    )


def _operation(item: pb.HistoryEvent) -> str:
    kind = event_type(item)
    if kind == "entityLockRequested":
        return f"lock for {item.entityLockRequested.parentInstanceId.value}"
    operation: str = getattr(item, kind).operation
    if kind == "entityOperationCalled":
        return f"{operation}, called by {item.entityOperationCalled.parentInstanceId.value}"
    return operation


def worker_view(number: int, stream: WorkerStream, now: int) -> WorkerView:
    """Return a worker as its page shows it.

    Its silence counts from its last answer or, if that is later, from when it was given the
    oldest work item that it holds.
    """
    record, seconds = stream.record, now / 1e9
    dispatched = [
        i.dispatched_at
        for held in stream.held.values()
        for i in held
        if i.dispatched_at is not None
    ]
    since = record.answered_at or record.connected_at
    if dispatched:
        since = max(since, min(dispatched))
    return WorkerView(
        number=number,
        peer=stream.peer,
        connected_at=_moment(record.connected_at),
        silent_since=_moment(since),
        per_second=record.per_second(seconds),
        kinds=[_held(stream, kind) for kind in Kind],
        is_stuck=bool(dispatched) and seconds - since >= SILENCE_SECONDS,
    )


def _held(stream: WorkerStream, kind: Kind) -> HeldView:
    limit = stream.limits[kind]
    return HeldView(
        kind=kind.value,
        accepts=None if stream.names is None else stream.names[kind],
        held=len(stream.held[kind]),
        limit=None if limit == sys.maxsize else limit,
        completed=stream.record.completed[kind.value],
    )


def waiting_views(leases: Leases) -> list[WaitingView]:
    """Return the work items that wait, by kind, name and version, the longest wait first."""
    found = [
        WaitingView(
            kind=queue[0].kind.value,
            name=queue[0].name,
            version=queue[0].version,
            count=len(queue),
            since=_moment(queue[0].waits_since),
            accepted=any(
                stream.accepts(queue[0].kind, queue[0].name, queue[0].version)
                for stream in leases.connected
            ),
        )
        for queue in leases.waiting_items()
    ]
    return sorted(found, key=lambda one: one.since)


def status_of(status: int) -> str:
    """Return a status as pages and messages name it, e.g. RUNNING."""
    name: str = pb.OrchestrationStatus.Name(status)
    return name.removeprefix("ORCHESTRATION_STATUS_")


def _number(status: str | None) -> int:
    return pb.OrchestrationStatus.Value(f"ORCHESTRATION_STATUS_{status}")


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def nanoseconds_of(moment: datetime | None) -> int | None:
    """Return a time as the task hub keeps it."""
    return None if moment is None else int(moment.timestamp() * 1e6) * 1000
