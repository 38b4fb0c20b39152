"""The rules of entities: operations run in batches, one batch at a time, and locks take turns."""

from __future__ import annotations

from collections.abc import Iterator

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.effects import (
    DeliverEvent,
    DeliverToEntity,
    Effect,
    OfferBatch,
    SetTimer,
    StartDetached,
)
from dts_emulator.engine.errors import InvalidError
from dts_emulator.engine.events import check_readable, copy_fields, event, time_of
from dts_emulator.engine.failures import fail_batch, failure
from dts_emulator.engine.ids import check_entity_id, check_instance_id, new_id
from dts_emulator.engine.model import Entity, Timer

# The size at which a batch of operations takes no more.
BATCH_BYTES = 1024 * 1024


def targets_of(message: pb.SendEntityMessageAction) -> list[str]:
    """Return the IDs of the entities that a message concerns; it goes to the first of them."""
    match message.WhichOneof("EntityMessageType"):
        case "entityOperationSignaled":
            return [message.entityOperationSignaled.targetInstanceId.value]
        case "entityOperationCalled":
            return [message.entityOperationCalled.targetInstanceId.value]
        case "entityUnlockSent":
            return [message.entityUnlockSent.targetInstanceId.value]
        case "entityLockRequested":
            request = message.entityLockRequested
            return [*request.lockSet[request.position :]] or [""]
    return []


def check_message(message: pb.SendEntityMessageAction) -> None:
    """Reject an invalid message to an entity.

    Raises:
        InvalidError: an entity ID, a timestamp or a position in a lock set is invalid, or a
            critical section has no ID.
    """
    for entity_id in targets_of(message):
        check_entity_id(entity_id)
    match message.WhichOneof("EntityMessageType"):
        case "entityLockRequested":
            request = message.entityLockRequested
            if request.position not in range(len(request.lockSet)):
                raise InvalidError(f"The lock set has no position {request.position}.")
            _check_section(request.criticalSectionId)
        case "entityUnlockSent":
            _check_section(message.entityUnlockSent.criticalSectionId)
    check_readable(message)


def _check_section(critical_section: str) -> None:
    if not critical_section:
        raise InvalidError("A critical section has no ID.")


def operate(entity: Entity, operation: pb.HistoryEvent, now: int) -> list[Effect]:
    """Queue an operation, or a lock request."""
    entity.queue.append(operation)
    if not entity.locked_by or entity.batch:
        return advance(entity, now)
    # Thousands may wait for the end of a lock; each was checked on arrival.
    return [OfferBatch(entity.entity_id)] if _may_run(entity, operation) else []


def advance(entity: Entity, now: int) -> list[Effect]:
    """Grant the lock to the next request, and offer the operations that can run."""
    if entity.batch:
        return []
    effects: list[Effect] = []
    while entity.queue and not entity.locked_by and entity.queue[0].HasField("entityLockRequested"):
        effects += _lock(entity, entity.queue.pop(0).entityLockRequested, now)
    if any(_may_run(entity, operation) for operation in _runnable(entity)):
        effects.append(OfferBatch(entity.entity_id))
    return effects


def _lock(entity: Entity, request: pb.EntityLockRequestedEvent, now: int) -> list[Effect]:
    """Lock the entity and forward the request to the next one; the last one answers."""
    entity.locked_by = request.parentInstanceId.value
    entity.critical_section = request.criticalSectionId
    following = request.position + 1
    if following < len(request.lockSet):
        passed_on = pb.EntityLockRequestedEvent()
        passed_on.CopyFrom(request)
        passed_on.position = following
        onward = event(now, entityLockRequested=passed_on)
        return [DeliverToEntity(request.lockSet[following], onward)]
    granted = pb.EntityLockGrantedEvent(criticalSectionId=request.criticalSectionId)
    news = event(now, entityLockGranted=granted)
    return [DeliverEvent(entity.locked_by, news, request.criticalSectionId)]


def _runnable(entity: Entity) -> Iterator[pb.HistoryEvent]:
    """Yield the operations up to the next lock request; all of them while the lock is held."""
    for item in entity.queue:
        if not item.HasField("entityLockRequested"):
            yield item
        elif not entity.locked_by:
            return


def _may_run(entity: Entity, operation: pb.HistoryEvent) -> bool:
    """Return whether an operation may run now: while locked, only calls of the lock's holder."""
    if not entity.locked_by:
        return True
    return operation.entityOperationCalled.parentInstanceId.value == entity.locked_by


def take_batch(entity: Entity) -> list[pb.HistoryEvent]:
    """Return the operations that may run, as far as they fit into a message to any worker.

    A batch whose worker has disconnected is dispatched again.
    """
    size = 0
    for operation in _runnable(entity) if not entity.batch else ():
        if size > BATCH_BYTES:
            break
        if _may_run(entity, operation):
            entity.batch.append(operation)
            size += operation.ByteSize()
    taken = {id(operation) for operation in entity.batch}
    entity.queue = [item for item in entity.queue if id(item) not in taken]
    return entity.batch


def settle(entity: Entity, answer: pb.EntityBatchResult, now: int) -> list[Effect]:
    """Take an entity's new state, and return the results of its operations and what they ask for.

    Operations without a result have not been run: they come first in the next batch.
    """
    _refuse_bad_actions(entity, answer)
    effects: list[Effect] = []
    done = entity.batch[: len(answer.results)]
    entity.queue[:0] = entity.batch[len(done) :]
    entity.batch = []
    entity.state = answer.entityState.value if answer.HasField("entityState") else None
    entity.updated_at = now
    for operation, result in zip(done, answer.results, strict=False):
        if operation.HasField("entityOperationCalled"):
            effects.append(_reply(operation.entityOperationCalled, result, now))
    for action in answer.actions:
        effects += _apply_action(action, now)
    return [*effects, *advance(entity, now)]


def _refuse_bad_actions(entity: Entity, answer: pb.EntityBatchResult) -> None:
    """Fail the operations of a batch that contains an invalid ID or timestamp."""
    try:
        for action in answer.actions:
            if action.HasField("sendSignal"):
                check_entity_id(action.sendSignal.instanceId)
            elif action.startNewOrchestration.instanceId:
                check_instance_id(action.startNewOrchestration.instanceId)
            check_readable(action)
    except InvalidError as error:
        fail_batch(answer, entity.state, failure("InvalidRequest", str(error)))


def _reply(
    call: pb.EntityOperationCalledEvent, result: pb.OperationResult, now: int
) -> DeliverEvent:
    if result.HasField("failure"):
        return call_failed(call, result.failure.failureDetails, now)
    completed = pb.EntityOperationCompletedEvent(requestId=call.requestId)
    if result.success.HasField("result"):
        completed.output.CopyFrom(result.success.result)
    news = event(now, entityOperationCompleted=completed)
    return DeliverEvent(call.parentInstanceId.value, news, call.requestId)


def call_failed(
    call: pb.EntityOperationCalledEvent, reason: pb.TaskFailureDetails, now: int
) -> DeliverEvent:
    """Report a failed operation to its caller."""
    failed = pb.EntityOperationFailedEvent(requestId=call.requestId, failureDetails=reason)
    news = event(now, entityOperationFailed=failed)
    return DeliverEvent(call.parentInstanceId.value, news, call.requestId)


def _apply_action(action: pb.OperationAction, now: int) -> list[Effect]:
    """Apply an operation's action: signal another entity, or start an orchestration."""
    if action.HasField("sendSignal"):
        request = action.sendSignal
        operation = signalled(request.instanceId, request.name, request, now)
        due = time_of(request, "scheduledTime")
        if due is not None and due > now:
            return [SetTimer(Timer(due, request.instanceId, operation))]
        return [DeliverToEntity(request.instanceId, operation)]
    if action.HasField("startNewOrchestration"):
        start = action.startNewOrchestration
        instance_id = start.instanceId or new_id()
        started = pb.ExecutionStartedEvent(
            name=start.name,
            orchestrationInstance=pb.OrchestrationInstance(instanceId=instance_id),
        )
        copy_fields(start, started, "version", "input", "parentTraceContext")
        return [StartDetached(started, time_of(start, "scheduledTime"))]
    return []


def signalled(
    entity_id: str,
    operation: str,
    request: pb.SignalEntityRequest | pb.SendSignalAction,
    now: int,
) -> pb.HistoryEvent:
    """Return the event that signals an operation to an entity."""
    signal = pb.EntityOperationSignaledEvent(
        requestId=getattr(request, "requestId", "") or new_id(), operation=operation
    )
    signal.targetInstanceId.value = entity_id
    copy_fields(request, signal, "input", "scheduledTime")
    return event(now, entityOperationSignaled=signal)


def unlock(entity: Entity, critical_section: str, now: int) -> list[Effect]:
    """End a critical section: release its lock, or drop its pending request."""
    if entity.critical_section == critical_section:
        entity.locked_by = entity.critical_section = None
        entity.updated_at = now
    entity.queue = [
        item
        for item in entity.queue
        if item.entityLockRequested.criticalSectionId != critical_section
    ]
    return advance(entity, now)
