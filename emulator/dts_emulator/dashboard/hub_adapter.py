"""A task hub as the dashboard sees and changes it: plain values, read under the lock."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.message import Message

from dts_emulator.dashboard.models import (
    ALLOWED,
    STATUSES,
    ActionRefusedError,
    ChildView,
    EntityView,
    HeldView,
    InstanceDetail,
    InstanceQuery,
    InstanceView,
    Start,
    WaitingView,
    WorkerView,
    datetime_of,
)
from dts_emulator.dashboard.progress import TreeProgress
from dts_emulator.dashboard.sdk_history import failure_of, public_event
from dts_emulator.engine.errors import NotFoundError, RefusedError
from dts_emulator.engine.events import event_type, string_value
from dts_emulator.engine.history_json import history_json
from dts_emulator.engine.ids import check_entity_id
from dts_emulator.engine.instances import has_no_pending_task
from dts_emulator.engine.model import ENDED, Entity, Instance
from dts_emulator.engine.reruns import status_name
from dts_emulator.hub.client_api import Clients
from dts_emulator.hub.leases import Kind, Leases, WorkerStream
from dts_emulator.hub.limits import oversized
from dts_emulator.hub.messages import require_readable
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.store import EntityFilter, Filter

# The silence after which a worker that holds work items is flagged.
SILENCE_SECONDS = 30.0


class HubAdapters(Mapping[str, "HubAdapter"]):
    """The adapters of all open task hubs, created on first access."""

    def __init__(self, hubs: Mapping[str, TaskHub]) -> None:
        self._hubs = hubs
        self._made: dict[str, HubAdapter] = {}

    def __getitem__(self, name: str) -> HubAdapter:
        hub = self._hubs[name]
        return self._made.get(name) or self._made.setdefault(name, HubAdapter(hub))

    def __iter__(self) -> Iterator[str]:
        return iter(self._hubs)

    def __len__(self) -> int:
        return len(self._hubs)


class HubAdapter:
    """What the dashboard shows and changes of one task hub.

    Its methods may be called from any thread. Actions raise KeyError for an unknown instance or
    entity, and ActionRefusedError if the task hub rejects them.
    """

    def __init__(self, hub: TaskHub) -> None:
        self._hub = hub
        self._clients = Clients(hub)
        self._tree = TreeProgress(hub.store)

    @property
    def name(self) -> str:
        """The task hub's name."""
        return self._hub.name

    # Workers

    def worker_count(self) -> int:
        """Return how many workers are connected."""
        with self._hub.lock:
            return self._hub.leases.streams

    def waiting_work_items(self) -> int:
        """Return the number of queued work items."""
        with self._hub.lock:
            return self._hub.leases.waiting()

    def workers(self) -> list[WorkerView]:
        """Return the workers that are connected, the oldest first."""
        with self._hub.lock:
            now = self._hub.now()
            streams = enumerate(self._hub.leases.connected, start=1)
            return [worker_view(number, stream, now) for number, stream in streams]

    def waiting(self) -> list[WaitingView]:
        """Return the queued work items by kind and name."""
        with self._hub.lock:
            return waiting_views(self._hub.leases)

    # Instances

    def count_by_status(self, wanted: InstanceQuery) -> dict[str, int]:
        """Count the matching instances by status, regardless of the query's own status."""
        with self._hub.lock:
            counts = self._hub.store.count_by_status(filter_of(wanted, any_status=True))
        return {status_of(status): count for status, count in counts.items()}

    def instances(
        self, wanted: InstanceQuery, *, offset: int = 0, limit: int = 50
    ) -> tuple[list[InstanceView], int]:
        """Return a page of the instances that match, newest first, and how many match."""
        with self._hub.lock:
            page, count = self._hub.store.newest(filter_of(wanted), offset, limit)
            return [instance_view(self._hub, self._tree, one) for one in page], count

    def instance(self, instance_id: str) -> InstanceDetail | None:
        """Return one instance with its history, None if it does not exist."""
        with self._hub.lock:
            instance = self._hub.store.instance(instance_id)
            if instance is None:
                return None
            finish = detail_of(self._hub, self._tree, instance)
        return finish()

    def history_file(self, instance_id: str) -> str:
        """Return an instance's history as the protocol has it in JSON."""
        try:
            with self._hub.lock:
                events = self._clients.history(instance_id)
        except NotFoundError:
            raise KeyError(instance_id) from None
        return history_json(events)

    # Entities

    def entities(self, search: str, after: str, limit: int) -> list[EntityView]:
        """Return entities by ID, those after `after` whose ID begins with `search`."""
        wanted = EntityFilter(prefix=search, with_stateless=True)
        with self._hub.lock:
            return [entity_view(one) for one in self._hub.store.entities(wanted, after, limit)]

    def entity(self, entity_id: str) -> EntityView | None:
        """Return one entity, None if it does not exist."""
        with self._hub.lock:
            entity = self._hub.store.entity(entity_id)
            return None if entity is None else entity_view(entity)

    def signal(self, entity_id: str, operation: str, data: str) -> None:
        """Signal an operation to an entity; `data` is JSON text, empty for none."""
        request = pb.SignalEntityRequest(name=operation, input=string_value(data or None))
        with self._refusing(entity_id, request):
            self._clients.signal(check_entity_id(entity_id), request, None)

    # Actions on instances

    def start(self, start: Start) -> str:
        """Start an orchestration; return its instance's ID."""
        started = pb.ExecutionStartedEvent(
            name=start.name,
            orchestrationInstance=pb.OrchestrationInstance(instanceId=start.instance_id),
            version=string_value(start.version or None),
            input=string_value(start.input or None),
            tags=start.tags,
        )
        with self._refusing(start.instance_id, started):
            scheduled_start = nanoseconds_of(start.start_at)
            return self._clients.start(started, scheduled_start, replaceable=frozenset())

    def suspend(self, instance_id: str, reason: str) -> None:
        """Suspend a running instance."""
        with self._acting(instance_id, "suspend"):
            self._clients.suspend(instance_id, reason or None)

    def resume(self, instance_id: str, reason: str) -> None:
        """Resume a suspended instance."""
        with self._acting(instance_id, "resume"):
            self._clients.resume(instance_id, reason or None)

    def terminate(self, instance_id: str, reason: str) -> None:
        """Terminate an instance that has not ended, and its sub-orchestrations."""
        output = json.dumps(reason) if reason else None
        with self._acting(
            instance_id, "terminate", pb.TerminateRequest(output=string_value(output))
        ):
            self._clients.terminate(instance_id, output, recurse=True)

    def rewind(self, instance_id: str, reason: str) -> None:
        """Run the failed steps of a failed instance again."""
        with self._acting(instance_id, "rewind"):
            self._clients.rewind(instance_id, reason or None)

    def restart(self, instance_id: str) -> str:
        """Run an ended instance again under a new ID; return that ID."""
        with self._acting(instance_id, "restart"):
            return self._clients.restart(instance_id, with_new_id=True)

    def purge(self, instance_id: str) -> None:
        """Delete an ended instance and its sub-orchestrations."""
        with self._acting(instance_id, "purge"):
            self._clients.purge([instance_id], recursive=True)

    def purge_all(self, wanted: InstanceQuery) -> int:
        """Delete the matching ended instances and their sub-orchestrations; return their number."""
        with self._refusing(self.name):
            purged, _ = self._clients.purge_all(ended_filter(wanted), recursive=True, timeout=None)
        return purged

    def raise_event(self, instance_id: str, name: str, data: str) -> None:
        """Send an external event with `data`, which is JSON text, to an instance."""
        raised = pb.EventRaisedEvent(name=name, input=string_value(data or None))
        with self._acting(instance_id, "raise_event", raised):
            self._clients.raise_event(instance_id, raised)

    @contextmanager
    def _acting(
        self, instance_id: str, action: str, payload: Message | None = None
    ) -> Iterator[None]:
        """Check that an action is allowed in the instance's status, then as `_refusing`."""
        with self._hub.lock:
            instance = self._hub.store.instance(instance_id)
            if instance is None:
                raise KeyError(instance_id)
            status = status_name(instance)
        if status not in ALLOWED[action]:
            raise ActionRefusedError(f"This action is not allowed while the instance is {status}.")
        with self._refusing(instance_id, payload):
            yield

    @contextmanager
    def _refusing(self, subject: str, payload: Message | None = None) -> Iterator[None]:
        """Reject a payload that is too large, and convert the task hub's errors for the pages."""
        problem = oversized(payload, self._hub.max_payload_bytes) if payload is not None else None
        if problem:
            raise ActionRefusedError(problem)
        try:
            yield
        except NotFoundError:
            raise KeyError(subject) from None
        except RefusedError as error:
            raise ActionRefusedError(str(error)) from None


def filter_of(wanted: InstanceQuery, *, any_status: bool = False) -> Filter:
    """Return a query as a store's filter; `any_status`: without its status."""
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
    """Return a query as a store's filter, for ended instances only."""
    found = filter_of(wanted)
    statuses = (found.statuses or ENDED) & ENDED
    # No status has this number: a query for other statuses matches no ended instance.
    return Filter(**{**vars(found), "statuses": statuses or frozenset([-1])})


def instance_view(hub: TaskHub, tree: TreeProgress, instance: Instance) -> InstanceView:
    """Return an instance as a list shows it, with its progress while it runs."""
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
    """Read an instance; return a function that completes the result without the lock."""
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

    Its silence counts from its last completion or, if later, from the dispatch of the oldest work
    item that it holds.
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
    """Return the queued work items by kind, name and version, the longest wait first."""
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
    """Return a time in the task hub's unit."""
    return None if moment is None else int(moment.timestamp() * 1e6) * 1000
