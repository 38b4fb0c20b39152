"""What a worker is sent for a work item: a turn, an activity, or a batch of operations."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from weakref import WeakSet

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from dts_emulator.engine import entities, instances, turns
from dts_emulator.engine.events import copy_fields, nanoseconds, string_value
from dts_emulator.engine.model import Activity, Instance
from dts_emulator.hub.leases import Kind, WorkerStream, WorkItem
from dts_emulator.hub.limits import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from dts_emulator.hub.task_hub import TaskHub

logger = logging.getLogger("emulator")

# What a worker receives at most unless it is told otherwise: gRPC's default.
DEFAULT_MESSAGE_BYTES = 4 * 1024 * 1024

# From what size on a history is streamed to workers that can take it so.
STREAMED_BYTES = 1024 * 1024


class WorkItemBuilder:
    """Builds the messages of one task hub's work items, under its lock."""

    def __init__(self, hub: TaskHub) -> None:
        self._hub = hub
        self._known_as_large: WeakSet[Instance] = WeakSet()

    def build(self, item: WorkItem, stream: WorkerStream) -> pb.WorkItem | None:
        """Return an item's message for a stream, None where what it is about is over."""
        match item.kind:
            case Kind.ORCHESTRATOR:
                return self._turn_message(item, stream)
            case Kind.ACTIVITY:
                return self._activity_message(item)
        return self._batch_message(item)

    def _turn_message(self, item: WorkItem, stream: WorkerStream) -> pb.WorkItem | None:
        instance = self._hub.store.instance(str(item.subject))
        if instance is None or instance.has_ended:
            return None
        request = pb.OrchestratorRequest(
            instanceId=instance.instance_id,
            executionId=string_value(instance.execution_id),
            pastEvents=instance.history,
            newEvents=turns.take(instance, self._hub.now()),
            # Without it, workers of the .NET SDK take entities for unsupported.
            entityParameters=pb.OrchestratorEntityParameters(entityMessageReorderWindow=Duration()),
            orchestrationTraceContext=instance.trace,
        )
        if stream.streams_history and request.ByteSize() > STREAMED_BYTES:
            del request.pastEvents[:]
            request.requiresHistoryStreaming = True
        message = pb.WorkItem(completionToken=item.token, orchestratorRequest=request)
        size = message.ByteSize()
        if size > MAX_MESSAGE_BYTES:
            self._fail_large_turn(item, size)
            return None
        if size > DEFAULT_MESSAGE_BYTES and instance not in self._known_as_large:
            self._known_as_large.add(instance)
            _warn_of_large_turn(instance.instance_id, size)
        return message

    def _fail_large_turn(self, item: WorkItem, size: int) -> None:
        instance = self._hub.store.instance(str(item.subject))
        if instance is not None:
            problem = (
                f"The orchestration's next turn has {size:,} bytes, and a message to a worker "
                f"takes at most {MAX_MESSAGE_BYTES:,} bytes. Split the orchestration."
            )
            self._hub.change(instance, instances.fail_without_worker, "TurnTooLarge", problem)

    def _activity_message(self, item: WorkItem) -> pb.WorkItem | None:
        assert isinstance(item.subject, Activity)
        instance = self._hub.store.instance(item.subject.instance_id)
        # Whatever else has become of the orchestration, what it has scheduled runs.
        if instance is None or item.is_withdrawn:
            return None
        self._note_given(instance, item.subject.scheduled)
        scheduled = item.subject.scheduled.taskScheduled
        request = pb.ActivityRequest(
            name=scheduled.name,
            orchestrationInstance=pb.OrchestrationInstance(
                instanceId=instance.instance_id, executionId=string_value(instance.execution_id)
            ),
            taskId=item.subject.scheduled.eventId,
            tags=scheduled.tags,
        )
        copy_fields(scheduled, request, "version", "input", "parentTraceContext")
        return pb.WorkItem(completionToken=item.token, activityRequest=request)

    def _note_given(self, instance: Instance, scheduled: pb.HistoryEvent) -> None:
        """Remember when a worker was given an activity: what comes before is waiting."""
        now = self._hub.now()
        key = scheduled.eventId, nanoseconds(scheduled.timestamp)
        first, _ = instance.dispatch_times.pop(key, (now, now))
        instance.dispatch_times[key] = first, now  # What is noted last comes last.
        self._hub.store.put(instance)

    def _batch_message(self, item: WorkItem) -> pb.WorkItem | None:
        entity = self._hub.store.entity(str(item.subject))
        operations = entities.take_batch(entity) if entity is not None else []
        if entity is None or not operations:
            return None
        self._hub.put_entity(entity)
        request = pb.EntityRequest(
            instanceId=entity.entity_id,
            entityState=string_value(entity.state),
            operationRequests=operations,
        )
        return pb.WorkItem(completionToken=item.token, entityRequestV2=request)


def _warn_of_large_turn(instance_id: str, size: int) -> None:
    """Say that a worker with default options cannot receive an orchestrator's turn."""
    logger.warning(
        "The work item of orchestration '%s' has %s bytes, and a worker with default options "
        "receives at most %s. Give worker and client channel_options=GrpcChannelOptions("
        "max_receive_message_length=...), or split the orchestration.",
        instance_id,
        f"{size:,}",
        f"{DEFAULT_MESSAGE_BYTES:,}",
    )
