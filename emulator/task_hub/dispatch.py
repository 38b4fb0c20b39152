"""What workers get and give back: streams of work items, completions, abandonments."""

from __future__ import annotations

import itertools
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from queue import Empty

import durabletask.internal.helpers as helpers
import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
from durabletask.testing.in_memory_backend import OrchestrationInstance

from emulator.leases import Kind, Leases, WorkerStream, WorkItem
from emulator.limits import oversized
from emulator.task_hub.answers import activity_ended, dropped, fail_orchestration, too_large
from emulator.task_hub.families import Families
from emulator.task_hub.pace import pause_before_turn
from emulator.task_hub.records import Record, copy_fields

logger = logging.getLogger("emulator")

# A worker of the SDK takes a stream that is silent for 120 s for dead and reconnects.
HEALTH_PING_SECONDS = 30.0

# The backend numbers its own tokens from 1; ours must never equal one of them.
FIRST_TOKEN = 1 << 32

# What a worker of the SDK receives at most unless it is told otherwise: gRPC's default.
DEFAULT_MESSAGE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Activity:
    """The subject of an activity's work item."""

    record: Record
    execution: int
    request: pb.ActivityRequest


class Dispatch(Families):
    """Leases work items to workers and takes their answers, each once.

    Args:
        lease_grace: seconds that a worker whose stream has ended has to complete its items.
        max_payload_bytes: the largest input, output, event or custom status; 0 = no limit.
    """

    def __init__(self, lease_grace: float, max_payload_bytes: int) -> None:
        super().__init__(max_payload_bytes)
        self._leases = Leases(lease_grace, itertools.count(FIRST_TOKEN))

    # Streams

    def GetWorkItems(
        self, request: pb.GetWorkItemsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WorkItem]:
        """Stream work items to a worker, never more at once than it says it can hold."""
        filters = dict(zip(Kind, self._parse_work_item_filters(request), strict=True))
        stream = WorkerStream(
            limits={
                Kind.ORCHESTRATOR: request.maxConcurrentOrchestrationWorkItems or sys.maxsize,
                Kind.ACTIVITY: request.maxConcurrentActivityWorkItems or sys.maxsize,
                Kind.ENTITY: request.maxConcurrentEntityWorkItems or sys.maxsize,
            },
            accepts=lambda kind, name, version: self._matches_filter(name, version, filters[kind]),
        )
        context.add_callback(lambda: self._disconnect(stream))
        with self._lock:
            self._leases.connect(stream)
        if not context.is_active() or self._shutdown_event.is_set():
            self._disconnect(stream)
            return
        logger.info("A worker has connected")
        yield from iter(lambda: self._next_message(stream), None)

    def _next_message(self, stream: WorkerStream) -> pb.WorkItem | None:
        """Wait for what the worker is to get next; return None at the end of its stream."""
        while True:
            try:
                item = stream.outbox.get(timeout=HEALTH_PING_SECONDS)
            except Empty:
                return pb.WorkItem(healthPing=pb.HealthPing())
            if item is None:
                return None
            with self._lock:
                message = self._message(item) if item.holder is stream else None
            if message is not None:
                if isinstance(item.subject, Record):
                    _warn_if_large(item.subject, message)
                return message
            del item  # It may be the last that holds a purged instance.

    def _disconnect(self, stream: WorkerStream) -> None:
        with self._lock:
            if not self._leases.has(stream):
                return
            expiry = self._leases.disconnect(stream, time.time())
        logger.info("A worker has disconnected")
        self._expire_at(expiry)

    def _expire_at(self, expiry: float | None) -> None:
        if expiry is not None:
            self._timers.at(expiry, self._expire)

    def _expire(self) -> None:
        with self._lock:
            self._leases.expire(time.time())

    def _message(self, item: WorkItem) -> pb.WorkItem | None:
        """Build what the worker gets, or drop an item whose instance has ended meanwhile."""
        if isinstance(item.subject, Activity):
            message = self._activity_message(item, item.subject)
        elif isinstance(item.subject, Record):
            message = self._orchestrator_message(item, item.subject)
        else:
            message = self._entity_message(item, str(item.subject))
        if message is None:
            self._leases.complete(item.token)
        return message

    def _entity_message(self, item: WorkItem, entity_id: str) -> pb.WorkItem | None:
        raise NotImplementedError

    # Orchestrators

    def _offer(self, record: Record) -> None:
        if record.work_item is not None:
            return
        pause = 0 if record.pause_is_over else pause_before_turn(record)
        if not pause:
            instance = record.instance
            record.work_item = self._leases.offer(
                Kind.ORCHESTRATOR, instance.name, instance.version or "", record
            )
        elif not record.is_paused:
            record.is_paused = True
            self._timers.at(time.time() + pause, partial(self._end_pause, record))

    def _end_pause(self, record: Record) -> None:
        with self._lock:
            record.is_paused, record.pause_is_over = False, True
            instance = record.instance
            if self._instances.get(instance.instance_id) is instance:
                self._enqueue_orchestration(instance.instance_id)
            record.pause_is_over = False

    def _withdraw(self, record: Record) -> None:
        if record.work_item is not None:
            self._leases.complete(record.work_item.token)
            record.work_item = None

    def _orchestrator_message(self, item: WorkItem, record: Record) -> pb.WorkItem:
        instance = record.instance
        # What an earlier, unanswered dispatch has carried comes first.
        events = [*instance.dispatched_events, *instance.pending_events]
        instance.pending_events.clear()
        if instance.history and not events[0].HasField("orchestratorStarted"):
            events.insert(0, helpers.new_orchestrator_started_event(datetime.now(timezone.utc)))
        instance.dispatched_events = events
        instance.completion_token = int(item.token)
        return pb.WorkItem(
            completionToken=item.token,
            orchestratorRequest=pb.OrchestratorRequest(
                instanceId=instance.instance_id,
                pastEvents=instance.history,
                newEvents=events,
                orchestrationTraceContext=record.trace_context,
            ),
        )

    def CompleteOrchestratorTask(
        self, request: pb.OrchestratorResponse, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        """Take an orchestrator's turn, if it is the first answer to it."""
        with self._lock:
            item = self._leases.complete(request.completionToken)
            if item is None or not isinstance(item.subject, Record):
                return dropped(f"orchestrator turn of '{request.instanceId}'")
            record = item.subject
            record.work_item = None
            if request.HasField("orchestrationTraceContext"):
                record.trace_context = request.orchestrationTraceContext
            problem = oversized(request, self._max_payload_bytes)
            if problem:
                fail_orchestration(request, problem)
            return super().CompleteOrchestratorTask(request, context)

    # Activities

    def _process_schedule_task_action(
        self, instance: OrchestrationInstance, action: pb.OrchestratorAction
    ) -> None:
        super()._process_schedule_task_action(instance, action)
        self._activity_queue.clear()  # Ours is kept by the leases.
        task = action.scheduleTask
        request = pb.ActivityRequest(
            name=task.name,
            orchestrationInstance=pb.OrchestrationInstance(instanceId=instance.instance_id),
            taskId=action.id,
            tags=task.tags,
        )
        copy_fields(task, request, "version", "input", "parentTraceContext")
        scheduled = instance.history[-1].taskScheduled
        scheduled.tags.update(task.tags)
        copy_fields(task, scheduled, "version", "parentTraceContext")
        record = self._record(instance)
        subject = Activity(record, record.execution, request)
        record.activities_out += 1
        self._leases.offer(Kind.ACTIVITY, task.name, task.version.value, subject)

    def _activity_message(self, item: WorkItem, activity: Activity) -> pb.WorkItem | None:
        instance = activity.record.instance
        # Whatever else has become of the orchestration, what it has scheduled runs.
        is_gone = self._instances.get(instance.instance_id) is not instance
        if is_gone or instance.status == pb.ORCHESTRATION_STATUS_TERMINATED:
            return None
        return pb.WorkItem(completionToken=item.token, activityRequest=activity.request)

    def CompleteActivityTask(
        self, request: pb.ActivityResponse, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        """Take an activity's result, the first that comes."""
        with self._lock:
            item = self._leases.complete(request.completionToken)
            if item is None or not isinstance(item.subject, Activity):
                return dropped(f"activity {request.taskId} of '{request.instanceId}'")
            activity = item.subject
            problem = oversized(request, self._max_payload_bytes)
            if problem:
                request.ClearField("result")
                request.failureDetails.CopyFrom(too_large(f"Activity '{item.name}': {problem}"))
            if activity.execution == activity.record.execution:
                activity.record.activities_out -= 1
            event = activity_ended(request)
            self._deliver(activity.record.instance.instance_id, activity.execution, event)
            return pb.CompleteTaskResponse()

    # Abandoning

    def AbandonTaskActivityWorkItem(
        self, request: pb.AbandonActivityTaskRequest, context: grpc.ServicerContext
    ) -> pb.AbandonActivityTaskResponse:
        """Give an activity back at once, for another worker."""
        self._abandon(request.completionToken)
        return pb.AbandonActivityTaskResponse()

    def AbandonTaskOrchestratorWorkItem(
        self, request: pb.AbandonOrchestrationTaskRequest, context: grpc.ServicerContext
    ) -> pb.AbandonOrchestrationTaskResponse:
        """Give an orchestrator's turn back at once, for another worker."""
        self._abandon(request.completionToken)
        return pb.AbandonOrchestrationTaskResponse()

    def AbandonTaskEntityWorkItem(
        self, request: pb.AbandonEntityTaskRequest, context: grpc.ServicerContext
    ) -> pb.AbandonEntityTaskResponse:
        """Give an entity's batch of operations back at once, for another worker."""
        self._abandon(request.completionToken)
        return pb.AbandonEntityTaskResponse()

    def _abandon(self, token: str) -> None:
        with self._lock:
            self._expire_at(self._leases.abandon(token, time.time()))


def _warn_if_large(record: Record, message: pb.WorkItem) -> None:
    """Say once that a worker with default options cannot receive an orchestrator's turn."""
    if record.is_known_as_large or message.ByteSize() <= DEFAULT_MESSAGE_BYTES:
        return
    record.is_known_as_large = True
    logger.warning(
        "The work item of orchestration '%s' has %s bytes, and a worker with default options "
        "receives at most %s. Give worker and client channel_options=GrpcChannelOptions("
        "max_receive_message_length=...), or split the orchestration.",
        record.instance.instance_id,
        f"{message.ByteSize():,}",
        f"{DEFAULT_MESSAGE_BYTES:,}",
    )
