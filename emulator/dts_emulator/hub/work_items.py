"""Builds the messages of work items: a turn, an activity, or a batch of operations."""

from __future__ import annotations

import logging
from collections.abc import Callable
from weakref import WeakSet

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from dts_emulator.engine import entities, turns
from dts_emulator.engine.events import copy_fields, nanoseconds, string_value
from dts_emulator.engine.model import Activity, Instance
from dts_emulator.hub.leases import Kind, WorkerStream, WorkItem
from dts_emulator.hub.limits import MAX_MESSAGE_BYTES
from dts_emulator.store import Store

logger = logging.getLogger("emulator")

# gRPC's default limit on a message that a worker receives.
DEFAULT_MESSAGE_BYTES = 4 * 1024 * 1024

# The size from which a history is streamed to workers that support it.
STREAMED_BYTES = 1024 * 1024


class TurnTooLargeError(Exception):
    """No worker can receive the next turn of `instance`."""

    def __init__(self, instance: Instance, size: int) -> None:
        super().__init__(
            f"The orchestration's next turn has {size:,} bytes, and a message to a worker "
            f"takes at most {MAX_MESSAGE_BYTES:,} bytes. Split the orchestration."
        )
        self.instance = instance


class WorkItemBuilder:
    """Builds the messages of one task hub's work items, under its lock.

    Args:
        store: where the task hub keeps its instances and entities.
        now: returns the time in nanoseconds since 1970.
    """

    def __init__(self, store: Store, now: Callable[[], int]) -> None:
        self._store = store
        self._now = now
        self._known_as_large: WeakSet[Instance] = WeakSet()

    def build(self, item: WorkItem, stream: WorkerStream) -> pb.WorkItem | None:
        """Return an item's message for a stream, None if its subject no longer needs a worker.

        Raises:
            TurnTooLargeError: no worker can receive the message.
        """
        match item.kind:
            case Kind.ORCHESTRATOR:
                return self._turn_message(item, stream)
            case Kind.ACTIVITY:
                return self._activity_message(item)
        return self._batch_message(item)

    def _turn_message(self, item: WorkItem, stream: WorkerStream) -> pb.WorkItem | None:
        instance = self._store.instance(str(item.subject))
        if instance is None or instance.has_ended:
            return None
        request = pb.OrchestratorRequest(
            instanceId=instance.instance_id,
            executionId=string_value(instance.execution_id),
            pastEvents=instance.history,
            newEvents=turns.take(instance, self._now()),
            # Without it, workers of the .NET SDK consider entities unsupported.
            entityParameters=pb.OrchestratorEntityParameters(entityMessageReorderWindow=Duration()),
            orchestrationTraceContext=instance.trace,
        )
        if stream.streams_history and request.ByteSize() > STREAMED_BYTES:
            del request.pastEvents[:]
            request.requiresHistoryStreaming = True
        message = pb.WorkItem(completionToken=item.token, orchestratorRequest=request)
        size = message.ByteSize()
        if size > MAX_MESSAGE_BYTES:
            raise TurnTooLargeError(instance, size)
        if size > DEFAULT_MESSAGE_BYTES and instance not in self._known_as_large:
            self._known_as_large.add(instance)
            _warn_of_large_turn(instance.instance_id, size)
        return message

    def _activity_message(self, item: WorkItem) -> pb.WorkItem | None:
        assert isinstance(item.subject, Activity)
        instance = self._store.instance(item.subject.instance_id)
        # A scheduled activity runs in any state of its orchestration.
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
        """Record when an activity was sent to a worker, which ends its waiting time."""
        now = self._now()
        key = scheduled.eventId, nanoseconds(scheduled.timestamp)
        first, _ = instance.dispatch_times.pop(key, (now, now))
        instance.dispatch_times[key] = first, now  # The latest entry comes last.
        self._store.put(instance)

    def _batch_message(self, item: WorkItem) -> pb.WorkItem | None:
        entity = self._store.entity(str(item.subject))
        operations = entities.take_batch(entity) if entity is not None else []
        if entity is None or not operations:
            return None
        self._store.put_entity(entity)
        request = pb.EntityRequest(
            instanceId=entity.entity_id,
            entityState=string_value(entity.state),
            operationRequests=operations,
        )
        return pb.WorkItem(completionToken=item.token, entityRequestV2=request)


def _warn_of_large_turn(instance_id: str, size: int) -> None:
    """Warn that a worker with default options cannot receive an orchestrator's turn."""
    logger.warning(
        "The work item of orchestration '%s' has %s bytes, and a worker with default options "
        "receives at most %s. Give worker and client channel_options=GrpcChannelOptions("
        "max_receive_message_length=...), or split the orchestration.",
        instance_id,
        f"{size:,}",
        f"{DEFAULT_MESSAGE_BYTES:,}",
    )
