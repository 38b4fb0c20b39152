"""A task hub as the dashboard sees it: `emulator.views.HubView` over the real thing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.message import Message

from dts_emulator.dashboard.hub_views import (
    detail_of,
    ended_filter,
    entity_view,
    filter_of,
    instance_view,
    nanoseconds_of,
    status_of,
    waiting_views,
    worker_view,
)
from dts_emulator.dashboard.models import (
    ALLOWED,
    ActionRefusedError,
    EntityView,
    InstanceDetail,
    InstanceQuery,
    InstanceView,
    Start,
    WaitingView,
    WorkerView,
)
from dts_emulator.dashboard.progress import TreeProgress
from dts_emulator.engine.errors import NotFoundError, RefusedError
from dts_emulator.engine.events import string_value
from dts_emulator.engine.history_json import history_json
from dts_emulator.engine.ids import check_entity_id
from dts_emulator.engine.reruns import status_name
from dts_emulator.hub.client_api import Clients
from dts_emulator.hub.limits import oversized
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.store import EntityFilter


class HubAdapters(Mapping[str, "HubAdapter"]):
    """What the dashboard shows of each open task hub, made when it is first asked for."""

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
    """What the dashboard shows and does of one task hub."""

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
        """Return how many work items no worker has taken yet."""
        with self._hub.lock:
            return self._hub.leases.waiting()

    def workers(self) -> list[WorkerView]:
        """Return the workers that are connected, the oldest first."""
        with self._hub.lock:
            now = self._hub.now()
            streams = enumerate(self._hub.leases.connected, start=1)
            return [worker_view(number, stream, now) for number, stream in streams]

    def waiting(self) -> list[WaitingView]:
        """Return the work items that wait for a worker, by kind and name."""
        with self._hub.lock:
            return waiting_views(self._hub.leases)

    # Instances

    def count_by_status(self, wanted: InstanceQuery) -> dict[str, int]:
        """Count the wanted instances by status, whatever status is wanted."""
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
        """Return one instance with its history, or None."""
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
        """Return one entity, or None."""
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
        """Forget an ended instance and its sub-orchestrations."""
        with self._acting(instance_id, "purge"):
            self._clients.purge([instance_id], recursive=True)

    def purge_all(self, wanted: InstanceQuery) -> int:
        """Forget the wanted instances that have ended, and their sub-orchestrations."""
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
        """Let a block act on an instance, in words for the user if that cannot be."""
        with self._hub.lock:
            instance = self._hub.store.instance(instance_id)
            if instance is None:
                raise KeyError(instance_id)
            status = status_name(instance)
        if status not in ALLOWED[action]:
            raise ActionRefusedError(f"This cannot be done to an instance that is {status}.")
        with self._refusing(instance_id, payload):
            yield

    @contextmanager
    def _refusing(self, subject: str, payload: Message | None = None) -> Iterator[None]:
        """Refuse what is too large, and tell what the task hub refuses in words for the user."""
        problem = oversized(payload, self._hub.max_payload_bytes) if payload is not None else None
        if problem:
            raise ActionRefusedError(problem)
        try:
            yield
        except NotFoundError:
            raise KeyError(subject) from None
        except RefusedError as error:
            raise ActionRefusedError(str(error)) from None
