"""The entities of a task hub: their queues of operations, their locks, their signals."""

from __future__ import annotations

from datetime import datetime

import durabletask.internal.helpers as helpers
import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
from durabletask.entities.entity_instance_id import EntityInstanceId
from durabletask.testing.in_memory_backend import EntityState, PendingLockRequest

from emulator.leases import Kind, WorkItem
from emulator.limits import oversized
from emulator.task_hub.answers import dropped, fail_entity_batch
from emulator.task_hub.dispatch import Dispatch
from emulator.task_hub.records import stamp

# As much as one batch of operations may have, before the last one is added.
BATCH_BYTES = 1024 * 1024


class Entities(Dispatch):
    """Runs one batch of an entity's operations at a time, and honours its locks."""

    def __init__(self, lease_grace: float, max_payload_bytes: int) -> None:
        super().__init__(lease_grace, max_payload_bytes)
        self._entity_items: dict[str, WorkItem] = {}
        self._lock_holders: dict[str, str] = {}

    def _enqueue_entity(self, entity_id: str) -> None:
        entity = self._entities[entity_id]
        stamp(entity.pending_operations)
        if entity_id in self._entity_items:
            return
        if any(self._may_run(entity, operation) for operation in entity.pending_operations):
            name = EntityInstanceId.parse(entity_id).entity
            self._entity_items[entity_id] = self._leases.offer(Kind.ENTITY, name, "", entity_id)

    def _may_run(self, entity: EntityState, operation: pb.HistoryEvent) -> bool:
        """Return whether an operation may run now: while locked, only the lock holder's may."""
        if entity.locked_by is None:
            return True
        caller = operation.entityOperationCalled.parentInstanceId.value
        return bool(caller) and caller == self._lock_holders.get(entity.locked_by)

    def _entity_message(self, item: WorkItem, entity_id: str) -> pb.WorkItem | None:
        entity = self._entities[entity_id]
        self._take_batch(entity)
        if not entity.dispatched_operations:
            self._entity_items.pop(entity_id)
            return None
        entity.completion_token = int(item.token)
        return pb.WorkItem(
            completionToken=item.token,
            entityRequestV2=pb.EntityRequest(
                instanceId=entity_id,
                entityState=helpers.get_string_value(entity.serialized_state),
                operationRequests=entity.dispatched_operations,
            ),
        )

    def _take_batch(self, entity: EntityState) -> None:
        """Dispatch what may run, as far as it fits into a message that every worker receives."""
        size = sum(operation.ByteSize() for operation in entity.dispatched_operations)
        waiting: list[pb.HistoryEvent] = []
        for operation in entity.pending_operations:
            if size <= BATCH_BYTES and self._may_run(entity, operation):
                entity.dispatched_operations.append(operation)
                size += operation.ByteSize()
            else:
                waiting.append(operation)
        entity.pending_operations = waiting

    def CompleteEntityTask(
        self, request: pb.EntityBatchResult, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        """Take an entity's new state and deliver the results of its operations."""
        with self._lock:
            item = self._leases.complete(request.completionToken)
            if item is None or item.kind is not Kind.ENTITY:
                return dropped("entity batch")
            entity_id = str(item.subject)
            self._entity_items.pop(entity_id, None)
            problem = oversized(request, self._max_payload_bytes)
            if problem:
                fail_entity_batch(request, self._entities[entity_id].serialized_state, problem)
            return super().CompleteEntityTask(request, context)

    def _schedule_delayed_entity_operation(
        self, entity_id: str, event: pb.HistoryEvent, fire_at: datetime
    ) -> None:
        def signal() -> None:
            with self._lock:
                self._queue_entity_operation(entity_id, event)

        self._timers.at(fire_at.timestamp(), signal)

    def _grant_lock(self, pending: PendingLockRequest) -> None:
        self._lock_holders[pending.critical_section_id] = pending.parent_instance_id
        super()._grant_lock(pending)

    def _try_grant_pending_locks(self) -> None:
        self._pending_lock_requests = [
            request
            for request in self._pending_lock_requests
            if self._is_live(request.parent_instance_id)
        ]
        super()._try_grant_pending_locks()  # type: ignore[no-untyped-call]
        held = {entity.locked_by for entity in self._entities.values() if entity.locked_by}
        self._lock_holders = {k: v for k, v in self._lock_holders.items() if k in held}
        for entity_id, entity in self._entities.items():
            if entity.pending_operations:
                self._enqueue_entity(entity_id)

    def CleanEntityStorage(
        self, request: pb.CleanEntityStorageRequest, context: grpc.ServicerContext
    ) -> pb.CleanEntityStorageResponse:
        """Remove entities without state and release the locks of orchestrations that have ended."""
        response = pb.CleanEntityStorageResponse()
        with self._lock:
            for entity in self._entities.values() if request.releaseOrphanedLocks else []:
                if entity.locked_by and not self._is_live(self._lock_holders.get(entity.locked_by)):
                    entity.locked_by = None
                    response.orphanedLocksReleased += 1
            self._try_grant_pending_locks()
            for entity in list(self._entities.values()) if request.removeEmptyEntities else []:
                if self._is_empty(entity):
                    del self._entities[entity.instance_id]
                    response.emptyEntitiesRemoved += 1
        return response

    def _is_empty(self, entity: EntityState) -> bool:
        """Return whether an entity has neither state nor lock nor anything to do."""
        is_busy = entity.pending_operations or entity.instance_id in self._entity_items
        return entity.serialized_state is None and not entity.locked_by and not is_busy

    def _is_live(self, instance_id: str | None) -> bool:
        instance = self._instances.get(instance_id or "")
        return instance is not None and not self._is_terminal_status(instance.status)
