"""What workers get and give back: streams of work items, completions, abandonments."""

from __future__ import annotations

import itertools
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from queue import Empty

import durabletask.internal.helpers as helpers
import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
from durabletask.testing.in_memory_backend import OrchestrationInstance

from emulator.leases import Kind, Leases, WorkerStream, WorkItem
from emulator.limits import oversized
from emulator.task_hub.instances import Instances, Record, stamp

logger = logging.getLogger("emulator")

# A worker of the SDK takes a stream that is silent for 120 s for dead and reconnects.
HEALTH_PING_SECONDS = 30.0

# The backend numbers its own tokens from 1; ours must never equal one of them.
FIRST_TOKEN = 1 << 32


# A failed orchestration can be rewound, and then needs the results of all it has scheduled.
ENDED_FOR_GOOD = (pb.ORCHESTRATION_STATUS_COMPLETED, pb.ORCHESTRATION_STATUS_TERMINATED)


@dataclass(frozen=True)
class Activity:
    """The subject of an activity's work item."""

    instance_id: str
    execution: int
    request: pb.ActivityRequest


class Dispatch(Instances):
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
        logger.info("A worker has connected")
        yield from self._work_items(stream)

    def _work_items(self, stream: WorkerStream) -> Iterator[pb.WorkItem]:
        while True:
            try:
                item = stream.outbox.get(timeout=HEALTH_PING_SECONDS)
            except Empty:
                yield pb.WorkItem(healthPing=pb.HealthPing())
                continue
            if item is None:
                return
            with self._lock:
                message = self._message(item) if item.holder is stream else None
            if message is not None:
                yield message

    def _disconnect(self, stream: WorkerStream) -> None:
        with self._lock:
            if not self._leases.has(stream):
                return
            expiry = self._leases.disconnect(stream, time.time())
        logger.info("A worker has disconnected")
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
            message = self._orchestrator_message(item, item.subject.instance)
        else:
            message = self._entity_message(item, str(item.subject))
        if message is None:
            self._leases.complete(item.token)
        return message

    def _entity_message(self, item: WorkItem, entity_id: str) -> pb.WorkItem | None:
        raise NotImplementedError

    # Orchestrators

    def _offer(self, record: Record) -> None:
        if record.work_item is None:
            instance = record.instance
            record.work_item = self._leases.offer(
                Kind.ORCHESTRATOR, instance.name, instance.version or "", record
            )

    def _withdraw(self, record: Record) -> None:
        if record.work_item is not None:
            self._leases.complete(record.work_item.token)
            record.work_item = None

    def _orchestrator_message(
        self, item: WorkItem, instance: OrchestrationInstance
    ) -> pb.WorkItem | None:
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
                instanceId=instance.instance_id, pastEvents=instance.history, newEvents=events
            ),
        )

    def CompleteOrchestratorTask(
        self, request: pb.OrchestratorResponse, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        """Take an orchestrator's turn into the history and do what it asks for."""
        with self._lock:
            item = self._leases.complete(request.completionToken)
            if item is None or not isinstance(item.subject, Record):
                return dropped(f"orchestrator turn of '{request.instanceId}'")
            item.subject.work_item = None
            problem = oversized(request, self._max_payload_bytes)
            if problem:
                _fail_orchestration(request, problem)
            response = super().CompleteOrchestratorTask(request, context)
            stamp(item.subject.instance.history)
            return response

    # Activities

    def _process_schedule_task_action(
        self, instance: OrchestrationInstance, action: pb.OrchestratorAction
    ) -> None:
        super()._process_schedule_task_action(instance, action)
        self._activity_queue.clear()  # Ours is kept by the leases.
        task = action.scheduleTask
        request = pb.ActivityRequest(
            name=task.name,
            version=task.version if task.HasField("version") else None,
            input=task.input if task.HasField("input") else None,
            orchestrationInstance=pb.OrchestrationInstance(instanceId=instance.instance_id),
            taskId=action.id,
            parentTraceContext=(
                task.parentTraceContext if task.HasField("parentTraceContext") else None
            ),
            tags=task.tags,
        )
        execution = self._record(instance).execution
        subject = Activity(instance.instance_id, execution, request)
        self._leases.offer(Kind.ACTIVITY, task.name, task.version.value, subject)

    def _activity_message(self, item: WorkItem, activity: Activity) -> pb.WorkItem | None:
        instance = self._find(activity.instance_id, activity.execution)
        if instance is None or instance.status in ENDED_FOR_GOOD:
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
            event = _activity_ended(request)
            self._deliver(activity.instance_id, activity.execution, event)
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
            if not self._leases.abandon(token):
                logger.debug("Dropped an abandonment of a work item that no worker has")


def dropped(what: str) -> pb.CompleteTaskResponse:
    """Answer a completion that counts for nothing: it is not the first, or not of this kind."""
    logger.debug("Dropped a completion that came after the first: %s", what)
    return pb.CompleteTaskResponse()


def _activity_ended(response: pb.ActivityResponse) -> pb.HistoryEvent:
    if response.HasField("failureDetails"):
        failed = pb.TaskFailedEvent(
            taskScheduledId=response.taskId, failureDetails=response.failureDetails
        )
        return pb.HistoryEvent(eventId=-1, taskFailed=failed)
    result = response.result.value if response.HasField("result") else None
    return helpers.new_task_completed_event(response.taskId, result)


def too_large(problem: str) -> pb.TaskFailureDetails:
    """Return the failure of whatever has made a payload that is too large."""
    return pb.TaskFailureDetails(
        errorType="PayloadTooLarge", errorMessage=problem, isNonRetriable=True
    )


def _fail_orchestration(response: pb.OrchestratorResponse, problem: str) -> None:
    """Replace what an orchestrator asks for by its failure."""
    failure = helpers.new_complete_orchestration_action(
        -1, pb.ORCHESTRATION_STATUS_FAILED, None, too_large(problem)
    )
    response.ClearField("customStatus")
    del response.actions[:]
    response.actions.append(failure)
