"""The orchestration instances of a task hub: what happens to each, and when."""

from __future__ import annotations

import itertools
import logging
import sys
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

from emulator.limits import oversized
from emulator.task_hub.records import (
    Record,
    copy_fields,
    execution_started,
    is_about_execution,
    stamp,
    starts_rewind,
)
from emulator.timers import Timers


class Instances(InMemoryOrchestrationBackend):
    """The backend's instances with true timestamps, and timers without threads."""

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

    def _find(self, instance_id: str, execution: int) -> Record | None:
        """Return the instance's record, unless it is gone or runs another execution by now."""
        record = self._records.get(instance_id)
        return record if record is not None and record.execution == execution else None

    def _deliver(self, instance_id: str, execution: int, event: pb.HistoryEvent) -> None:
        """Hand an event to the execution that waits for it."""
        record = self._find(instance_id, execution)
        if record is not None:
            record.instance.pending_events.append(event)
            record.instance.last_updated_at = datetime.now(timezone.utc)
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

    # Turns

    def _enqueue_orchestration(self, instance_id: str) -> None:
        """Let a worker have what is pending, as far as the instance can take it now."""
        instance = self._instances[instance_id]
        record = self._record(instance)
        stamp(instance.pending_events)
        if self._is_terminal_status(instance.status) or record.is_rewinding:
            _hold_back(record)
        if not instance.pending_events or self._must_wait_for_start(record):
            return
        self._offer(record)

    def _must_wait_for_start(self, record: Record) -> bool:
        if record.waits_for_start or not record.is_untouched:
            return record.waits_for_start
        start = record.instance.pending_events[0].timestamp.ToDatetime(tzinfo=timezone.utc)
        if start > datetime.now(timezone.utc):
            record.waits_for_start = True
            instance_id = record.instance.instance_id
            self._timers.at(start.timestamp(), partial(self._start, instance_id, record.execution))
        return record.waits_for_start

    def _start(self, instance_id: str, execution: int) -> None:
        with self._lock:
            record = self._find(instance_id, execution)
            if record is not None:
                record.waits_for_start = False
                self._enqueue_orchestration(instance_id)

    def CompleteOrchestratorTask(
        self, request: pb.OrchestratorResponse, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        """Take an orchestrator's turn into the history and do what it asks for."""
        with self._lock:
            instance = self._instances[request.instanceId]
            record = self._record(instance)
            arrived = list(instance.pending_events)
            response = super().CompleteOrchestratorTask(request, context)
            stamp(instance.history)
            if self._is_terminal_status(instance.status):
                # The backend has dropped what arrived during the last turn.
                instance.pending_events.extend(arrived)
            if record.is_rewinding:
                record.is_rewinding = False
                held_back, record.held_back = record.held_back, []
                instance.pending_events.extend(held_back)
            # The backend leaves a suspended instance alone, even if a resume has arrived.
            self._enqueue_orchestration(request.instanceId)
            return response

    def _process_complete_orchestration_action(
        self, instance: OrchestrationInstance, complete_action: pb.CompleteOrchestrationAction
    ) -> None:
        if complete_action.orchestrationStatus != pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
            super()._process_complete_orchestration_action(instance, complete_action)
            return
        before = execution_started(instance.history)
        record = self._record(instance)
        record.execution = next(self._executions)
        record.activities_out = 0
        record.trace_context = None
        super()._process_complete_orchestration_action(instance, complete_action)
        # Events carried over stand before those that have arrived, and been stamped, meanwhile.
        stamp([event for event in instance.pending_events if not event.timestamp.seconds])
        started = execution_started(instance.pending_events)
        started.tags.update(before.tags)
        copy_fields(before, started, "parentInstance", "parentTraceContext")

    # Starting

    def StartInstance(
        self, request: pb.CreateInstanceRequest, context: grpc.ServicerContext
    ) -> pb.CreateInstanceResponse:
        """Create an instance; one that is scheduled for later starts then."""
        self._refuse_oversized(request, context)
        with self._lock:
            response = super().StartInstance(request, context)
            started = execution_started(self._instances[response.instanceId].pending_events)
            copy_fields(request, started, "parentTraceContext")
            return response

    def RestartInstance(
        self, request: pb.RestartInstanceRequest, context: grpc.ServicerContext
    ) -> pb.RestartInstanceResponse:
        """Run an ended instance again with the same input, version and tags."""
        with self._lock:
            ended = self._instances.get(request.instanceId)
            response = super().RestartInstance(request, context)
            if ended is not None and ended.tags:
                instance = self._instances[response.instanceId]
                instance.tags = dict(ended.tags)
                execution_started(instance.pending_events).tags.update(ended.tags)
            return response

    def _prepare_rewind(self, instance: OrchestrationInstance, reason: str | None = None) -> None:
        record = self._record(instance)
        instance.history.extend(record.held_back)
        record.held_back = []
        record.is_rewinding = True
        super()._prepare_rewind(instance, reason)

    # Events and timers

    def RaiseEvent(
        self, request: pb.RaiseEventRequest, context: grpc.ServicerContext
    ) -> pb.RaiseEventResponse:
        """Deliver an external event; an ended instance ignores it."""
        self._refuse_oversized(request, context)
        with self._lock:
            response = super().RaiseEvent(request, context)
            self._enqueue_orchestration(request.instanceId)
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

    # Terminating

    def _terminate_instance_internal(
        self, instance_id: str, output: str | None, recursive: bool = False
    ) -> None:
        instance = self._instances.get(instance_id)
        if instance is None or self._is_terminal_status(instance.status):
            return
        event = helpers.new_terminated_event(encoded_output=output)
        event.executionTerminated.recurse = recursive
        record = self._record(instance)
        if record.is_untouched:
            self._end_before_start(record, event)
        else:
            self._deliver(instance_id, record.execution, event)

    def _end_before_start(self, record: Record, event: pb.HistoryEvent) -> None:
        """Terminate an instance without running any of its code."""
        instance = record.instance
        output = event.executionTerminated.input.value or None
        instance.status = pb.ORCHESTRATION_STATUS_TERMINATED
        instance.output = output
        instance.completed_at = instance.last_updated_at = datetime.now(timezone.utc)
        ended = helpers.new_execution_completed_event(instance.status, output)
        pending = [e for e in instance.pending_events if not e.HasField("orchestratorStarted")]
        instance.history = [*pending, event, ended]
        stamp(instance.history)
        instance.pending_events.clear()
        self._withdraw(record)
        self._notify_waiters(instance.instance_id)


def _hold_back(record: Record) -> None:
    """Take from the pending events what no turn can take now; keep what a rewind needs."""
    instance = record.instance
    pending, instance.pending_events = instance.pending_events, []
    if record.is_rewinding:
        # The worker rewrites the history in a turn that takes nothing else.
        instance.pending_events = [event for event in pending if starts_rewind(event)]
        record.held_back += [event for event in pending if not starts_rewind(event)]
    elif instance.status == pb.ORCHESTRATION_STATUS_FAILED:
        record.held_back += [event for event in pending if not is_about_execution(event)]
