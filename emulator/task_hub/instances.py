"""The orchestration instances of a task hub: who runs under which parent, and what happens when."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial

import durabletask.internal.helpers as helpers
import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
from durabletask.testing.in_memory_backend import (
    InMemoryOrchestrationBackend,
    OrchestrationInstance,
)
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from emulator.leases import WorkItem
from emulator.limits import oversized
from emulator.timers import Timers


@dataclass(frozen=True)
class Watcher:
    """A parent's execution that waits for a sub-orchestration, as its task `task_id`."""

    parent_id: str
    execution: int
    task_id: int


@dataclass(eq=False)
class Record:
    """What the task hub knows of an instance beyond what the backend keeps.

    `execution` tells runs under one ID apart: a restart or continue-as-new is a new one, and
    what an earlier one has scheduled no longer concerns it.
    """

    instance: OrchestrationInstance
    execution: int
    parent_id: str | None = None
    children: list[str] = field(default_factory=list)
    watchers: list[Watcher] = field(default_factory=list)
    work_item: WorkItem | None = None
    waits_for_start: bool = False


class Instances(InMemoryOrchestrationBackend):
    """The backend's instances with true timestamps, timers without threads, and parents."""

    def __init__(self, max_payload_bytes: int) -> None:
        super().__init__(max_history_size=sys.maxsize)
        self._logger = logging.getLogger("emulator.backend")
        self._max_payload_bytes = max_payload_bytes
        self._executions = itertools.count(1)
        self._records: dict[str, Record] = {}
        self._timers = Timers()

    def _record(self, instance: OrchestrationInstance) -> Record:
        """Return the instance's record; another instance under the same ID gets a new one."""
        record = self._records.get(instance.instance_id)
        if record is None or record.instance is not instance:
            if record is not None:
                self._withdraw(record)
            record = Record(instance, next(self._executions))
            self._records[instance.instance_id] = record
        return record

    def _find(self, instance_id: str, execution: int) -> OrchestrationInstance | None:
        """Return the instance, unless it is gone or runs another execution by now."""
        record = self._records.get(instance_id)
        return record.instance if record is not None and record.execution == execution else None

    def _deliver(self, instance_id: str, execution: int, event: pb.HistoryEvent) -> None:
        """Hand an event to the execution that waits for it; one that has ended ignores it."""
        instance = self._find(instance_id, execution)
        if instance is None:
            return
        if instance.status == pb.ORCHESTRATION_STATUS_FAILED:
            # A rewind runs again only what has failed; for the rest it looks into the history.
            instance.history.append(event)
            stamp(instance.history)
        elif not self._is_terminal_status(instance.status):
            instance.pending_events.append(event)
            instance.last_updated_at = datetime.now(timezone.utc)
            self._enqueue_orchestration(instance_id)

    def _offer(self, record: Record) -> None:
        """Hand the instance's pending events to a worker."""
        raise NotImplementedError

    def _withdraw(self, record: Record) -> None:
        """Take back what `_offer` has offered."""
        raise NotImplementedError

    def _refuse_oversized(self, request: Message, context: grpc.ServicerContext) -> None:
        problem = oversized(request, self._max_payload_bytes)
        if problem:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)

    # Starting

    def StartInstance(
        self, request: pb.CreateInstanceRequest, context: grpc.ServicerContext
    ) -> pb.CreateInstanceResponse:
        """Create an instance; one that is scheduled for later starts then."""
        self._refuse_oversized(request, context)
        with self._lock:
            response = super().StartInstance(request, context)
            if request.HasField("parentTraceContext"):
                started = _execution_started(self._instances[response.instanceId])
                started.parentTraceContext.CopyFrom(request.parentTraceContext)
            return response

    def _enqueue_orchestration(self, instance_id: str) -> None:
        instance = self._instances[instance_id]
        stamp(instance.pending_events)
        record = self._record(instance)
        if self._is_terminal_status(instance.status):
            instance.pending_events.clear()
            return
        if not record.waits_for_start and not self._must_wait_for_start(record):
            self._offer(record)

    def _must_wait_for_start(self, record: Record) -> bool:
        instance = record.instance
        if instance.history or instance.dispatched_events or not instance.pending_events:
            return False
        start = instance.pending_events[0].timestamp.ToDatetime(tzinfo=timezone.utc)
        if start <= datetime.now(timezone.utc):
            return False
        record.waits_for_start = True
        self._timers.at(
            start.timestamp(), partial(self._start, instance.instance_id, record.execution)
        )
        return True

    def _start(self, instance_id: str, execution: int) -> None:
        with self._lock:
            if self._find(instance_id, execution) is not None:
                self._records[instance_id].waits_for_start = False
                self._enqueue_orchestration(instance_id)

    # Events, timers and sub-orchestrations

    def RaiseEvent(
        self, request: pb.RaiseEventRequest, context: grpc.ServicerContext
    ) -> pb.RaiseEventResponse:
        """Deliver an external event; an ended instance ignores it."""
        self._refuse_oversized(request, context)
        with self._lock:
            response = super().RaiseEvent(request, context)
            instance = self._instances[request.instanceId]
            stamp(instance.pending_events)
            if self._is_terminal_status(instance.status):
                instance.pending_events.clear()
            return response

    def _process_create_timer_action(
        self, instance: OrchestrationInstance, action: pb.OrchestratorAction
    ) -> None:
        fire_at = action.createTimer.fireAt.ToDatetime(tzinfo=timezone.utc)
        instance.history.append(helpers.new_timer_created_event(action.id, fire_at))
        execution = self._record(instance).execution
        fire = partial(self._fire_timer, instance.instance_id, execution, action.id, fire_at)
        self._timers.at(fire_at.timestamp(), fire)

    def _fire_timer(
        self, instance_id: str, execution: int, timer_id: int, fire_at: datetime
    ) -> None:
        with self._lock:
            event = helpers.new_timer_fired_event(timer_id, fire_at)
            self._deliver(instance_id, execution, event)

    def _process_create_sub_orchestration_action(
        self, instance: OrchestrationInstance, action: pb.OrchestratorAction
    ) -> None:
        super()._process_create_sub_orchestration_action(instance, action)
        request = action.createSubOrchestration
        record = self._records[request.instanceId]
        if record.parent_id == instance.instance_id and record.instance.pending_events:
            started = _execution_started(record.instance)
            started.parentTraceContext.CopyFrom(request.parentTraceContext)
            started.tags.update(request.tags)

    def _watch_sub_orchestration(
        self, parent_instance_id: str, sub_instance_id: str, task_id: int
    ) -> None:
        parent = self._record(self._instances[parent_instance_id])
        child = self._record(self._instances[sub_instance_id])
        child.parent_id = parent_instance_id
        parent.children.append(sub_instance_id)
        if child.instance.pending_events and not child.instance.history:
            started = _execution_started(child.instance)
            started.parentInstance.taskScheduledId = task_id
            started.parentInstance.name.value = parent.instance.name
            started.parentInstance.orchestrationInstance.instanceId = parent_instance_id
        child.watchers.append(Watcher(parent_instance_id, parent.execution, task_id))
        self._notify_watchers(child)

    def _notify_waiters(self, instance_id: str) -> None:
        super()._notify_waiters(instance_id)
        self._notify_watchers(self._records[instance_id])

    def _notify_watchers(self, record: Record) -> None:
        if not self._is_terminal_status(record.instance.status):
            return
        watchers, record.watchers = record.watchers, []
        for watcher in watchers:
            event = _sub_ended(record.instance, watcher.task_id)
            self._deliver(watcher.parent_id, watcher.execution, event)

    def _process_complete_orchestration_action(
        self, instance: OrchestrationInstance, complete_action: pb.CompleteOrchestrationAction
    ) -> None:
        super()._process_complete_orchestration_action(instance, complete_action)
        if complete_action.orchestrationStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
            self._record(instance).execution = next(self._executions)
            # Events carried over stand before those that have arrived meanwhile.
            stamp([event for event in instance.pending_events if not event.timestamp.seconds])

    # Ending

    def _terminate_instance_internal(
        self, instance_id: str, output: str | None, recursive: bool = False
    ) -> None:
        super()._terminate_instance_internal(instance_id, output)
        record = self._records.get(instance_id)
        for child_id in record.children if record is not None and recursive else []:
            self._terminate_instance_internal(child_id, output, recursive=True)

    def PurgeInstances(
        self, request: pb.PurgeInstancesRequest, context: grpc.ServicerContext
    ) -> pb.PurgeInstancesResponse:
        """Forget ended instances and, where asked to, their sub-orchestrations."""
        with self._lock:
            response = super().PurgeInstances(request, context)
            asked = [request.instanceId] if request.instanceId else list(self._records)
            for record in [r for i in asked if (r := self._records.get(i)) is not None]:
                if record.instance.instance_id not in self._instances:
                    response.deletedInstanceCount += self._forget(record, request.recursive)
            return response

    def _forget(self, record: Record, recursive: bool) -> int:
        """Drop a purged instance's record; return how many sub-orchestrations went with it."""
        self._withdraw(record)
        del self._records[record.instance.instance_id]
        purged = 0
        for child_id in record.children if recursive else []:
            child = self._records.get(child_id)
            if child is not None and self._is_terminal_status(child.instance.status):
                purged += self._instances.pop(child_id, None) is not None
                purged += self._forget(child, recursive)
        return purged


def stamp(events: Sequence[pb.HistoryEvent]) -> None:
    """Give the current time to the newest of `events`, as far back as they have none."""
    now = Timestamp()
    now.GetCurrentTime()
    for event in reversed(events):
        if event.timestamp.seconds:
            return
        event.timestamp.CopyFrom(now)


def _execution_started(instance: OrchestrationInstance) -> pb.ExecutionStartedEvent:
    """Return the event that starts an instance which no worker has seen yet."""
    return next(
        event.executionStarted
        for event in instance.pending_events
        if event.HasField("executionStarted")
    )


def _sub_ended(sub: OrchestrationInstance, task_id: int) -> pb.HistoryEvent:
    if sub.status == pb.ORCHESTRATION_STATUS_COMPLETED:
        return helpers.new_sub_orchestration_completed_event(task_id, sub.output)
    event = helpers.new_sub_orchestration_failed_event(
        task_id, Exception(f"The sub-orchestration '{sub.instance_id}' was terminated.")
    )
    if sub.failure_details is not None:
        event.subOrchestrationInstanceFailed.failureDetails.CopyFrom(sub.failure_details)
    return event
