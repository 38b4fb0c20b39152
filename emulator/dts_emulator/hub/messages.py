"""Instances and entities as messages of the protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.errors import UnavailableError
from dts_emulator.engine.events import string_value, timestamp
from dts_emulator.engine.model import Entity, Instance

# Answers stay well below gRPC's default limit of 4 MiB on what a client receives.
ANSWER_BYTES = 2 * 1024 * 1024


def orchestration_state(instance: Instance, with_payloads: bool) -> pb.OrchestrationState:
    """Return the state of an instance; input and output only on request.

    Raises:
        UnavailableError: its record in the state file is damaged.
    """
    require_readable(instance)
    state = pb.OrchestrationState(
        instanceId=instance.instance_id,
        name=instance.name,
        version=string_value(instance.version),
        orchestrationStatus=instance.status,
        createdTimestamp=timestamp(instance.created_at),
        lastUpdatedTimestamp=timestamp(instance.updated_at),
        input=string_value(instance.input) if with_payloads else None,
        output=string_value(instance.output) if with_payloads else None,
        customStatus=string_value(instance.custom_status),
        failureDetails=instance.failure,
        executionId=string_value(instance.execution_id),
        parentInstanceId=string_value(instance.parent_id),
        tags=instance.tags,
    )
    if instance.scheduled_start is not None:
        state.scheduledStartTimestamp.CopyFrom(timestamp(instance.scheduled_start))
    if instance.completed_at is not None:
        state.completedTimestamp.CopyFrom(timestamp(instance.completed_at))
    return state


def require_readable(instance: Instance) -> None:
    """Reject access to an instance whose record is damaged.

    Raises:
        UnavailableError: the message names the instance and the next step.
    """
    if instance.problem is not None:
        raise UnavailableError(
            f"Orchestration instance '{instance.instance_id}' cannot be read from the state file: "
            f"{instance.problem}. Purge it, or restore a copy of the file."
        )


def instance_response(instance: Instance, with_payloads: bool) -> pb.GetInstanceResponse:
    """Return the answer for an existing instance."""
    state = orchestration_state(instance, with_payloads)
    return pb.GetInstanceResponse(exists=True, orchestrationState=state)


def entity_metadata(entity: Entity, with_state: bool) -> pb.EntityMetadata:
    """Return an entity's metadata; its state only on request."""
    return pb.EntityMetadata(
        instanceId=entity.entity_id,
        lastModifiedTime=timestamp(entity.updated_at),
        backlogQueueSize=len(entity.queue),
        lockedBy=string_value(entity.locked_by),
        serializedState=string_value(entity.state) if with_state else None,
    )


def history_chunks(events: Iterable[pb.HistoryEvent]) -> Iterator[pb.HistoryChunk]:
    """Yield a history in chunks, at least one."""
    chunk = pb.HistoryChunk()
    size = 0
    for event in events:
        size += event.ByteSize()
        if size > ANSWER_BYTES and chunk.events:
            yield chunk
            chunk, size = pb.HistoryChunk(), event.ByteSize()
        chunk.events.append(event)
    yield chunk
