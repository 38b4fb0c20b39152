"""A task hub as the dashboard sees it: `emulator.views.HubView` over the real thing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from durabletask.internal import orchestrator_service_pb2 as pb

from emulator.clients import Clients
from emulator.engine.errors import NotFoundError, RefusedError
from emulator.engine.events import text
from emulator.engine.model import Instance
from emulator.engine.reruns import status_name
from emulator.history import failure_of, public_event
from emulator.hub import TaskHub
from emulator.limits import oversized
from emulator.store import Filter
from emulator.views import STATUSES, ActionRefusedError, InstanceDetail, InstanceView, datetime_of

_ENDED = ("COMPLETED", "FAILED", "TERMINATED")
_ACTIVE = ("PENDING", "RUNNING", "SUSPENDED")


class Overview:
    """What the dashboard shows and does of one task hub."""

    def __init__(self, hub: TaskHub) -> None:
        self._hub = hub
        self._clients = Clients(hub)

    @property
    def name(self) -> str:
        """The task hub's name."""
        return self._hub.name

    def worker_count(self) -> int:
        """Return how many workers are connected."""
        with self._hub.lock:
            return self._hub.leases.streams

    def waiting_work_items(self) -> int:
        """Return how many work items no worker has taken yet."""
        with self._hub.lock:
            return self._hub.leases.waiting()

    def count_by_status(self) -> dict[str, int]:
        """Count the instances by status."""
        with self._hub.lock:
            counts = self._hub.store.count_by_status(Filter())
        return {_name(status): count for status, count in counts.items()}

    def instances(
        self, *, status: str | None = None, search: str = "", offset: int = 0, limit: int = 50
    ) -> tuple[list[InstanceView], int]:
        """Return a page of the instances that match, newest first, and how many match."""
        statuses = frozenset([_number(status)]) if status in STATUSES else frozenset[int]()
        with self._hub.lock:
            page, count = self._hub.store.newest(
                Filter(statuses=statuses, search=search), offset, limit
            )
            return [_view(instance) for instance in page], count

    def instance(self, instance_id: str) -> InstanceDetail | None:
        """Return one instance with its history, or None."""
        with self._hub.lock:
            instance = self._hub.store.instance(instance_id)
            if instance is None:
                return None
            view = _view(instance)
            events = list(instance.history)
            given, output, status = instance.input, instance.output, instance.custom_status
            failure = instance.failure
        return InstanceDetail(
            instance=view,
            input=given,
            output=output,
            custom_status=status or None,
            failure=failure_of(failure),
            history=[public_event(event) for event in events],
        )

    # Actions

    def suspend(self, instance_id: str, reason: str) -> None:
        """Suspend a running instance."""
        with self._acting(instance_id, "PENDING", "RUNNING"):
            self._clients.suspend(instance_id, reason or None)

    def resume(self, instance_id: str, reason: str) -> None:
        """Resume a suspended instance."""
        with self._acting(instance_id, "SUSPENDED"):
            self._clients.resume(instance_id, reason or None)

    def terminate(self, instance_id: str, reason: str) -> None:
        """Terminate an instance that has not ended, and its sub-orchestrations."""
        with self._acting(instance_id, *_ACTIVE):
            output = json.dumps(reason) if reason else None
            self._refuse_oversized(output)
            self._clients.terminate(instance_id, output, recurse=True)

    def restart(self, instance_id: str) -> str:
        """Run an ended instance again under a new ID; return that ID."""
        with self._acting(instance_id, *_ENDED):
            return self._clients.restart(instance_id, with_new_id=True)

    def purge(self, instance_id: str) -> None:
        """Forget an ended instance and its sub-orchestrations."""
        with self._acting(instance_id, *_ENDED):
            self._clients.purge([instance_id], recursive=True)

    def raise_event(self, instance_id: str, name: str, data: str) -> None:
        """Send an external event with `data`, which is JSON text, to an instance."""
        with self._acting(instance_id, *_ACTIVE):
            self._refuse_oversized(data)
            raised = pb.EventRaisedEvent(name=name, input=text(data or None))
            self._clients.raise_event(instance_id, raised)

    @contextmanager
    def _acting(self, instance_id: str, *statuses: str) -> Iterator[None]:
        """Let a block act on an instance, in words for the user if that cannot be."""
        with self._hub.lock:
            instance = self._hub.store.instance(instance_id)
            if instance is None:
                raise KeyError(instance_id)
            status = status_name(instance)
        if status not in statuses:
            raise ActionRefusedError(f"This cannot be done to an instance that is {status}.")
        try:
            yield
        except NotFoundError:
            raise KeyError(instance_id) from None
        except RefusedError as error:
            raise ActionRefusedError(str(error)) from None

    def _refuse_oversized(self, data: str | None) -> None:
        event = pb.EventRaisedEvent(input=text(data))
        problem = oversized(event, self._hub.max_payload_bytes)
        if problem:
            raise ActionRefusedError(problem)


def _view(instance: Instance) -> InstanceView:
    return InstanceView(
        instance_id=instance.instance_id,
        name=instance.name,
        status=status_name(instance),
        created_at=datetime_of(instance.created_at),
        last_updated_at=datetime_of(instance.updated_at),
        completed_at=None if instance.completed_at is None else datetime_of(instance.completed_at),
        version=instance.version,
        parent_id=instance.parent_id,
    )


def _name(status: int) -> str:
    name: str = pb.OrchestrationStatus.Name(status)
    return name.removeprefix("ORCHESTRATION_STATUS_")


def _number(status: str | None) -> int:
    return pb.OrchestrationStatus.Value(f"ORCHESTRATION_STATUS_{status}")
