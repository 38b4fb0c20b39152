"""Delivers the effects of one instance or entity to the others of a task hub.

A delivery needs only the store and the time. The task hub handles workers, timers and waiting
clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine import effects as fx
from dts_emulator.engine import entities, instances, recovery, reruns
from dts_emulator.engine.actions import child_of
from dts_emulator.engine.errors import UnavailableError
from dts_emulator.engine.events import string_value
from dts_emulator.engine.failures import failure
from dts_emulator.engine.model import Entity, Instance
from dts_emulator.store import Store

Effects = Iterable[fx.Effect]


class Delivery:
    """Applies effects to instances and entities, under the task hub's lock.

    Every method returns the effects that follow.

    Args:
        store: where the instances and entities are kept.
        now: returns the time in nanoseconds since 1970.
    """

    def __init__(self, store: Store, now: Callable[[], int]) -> None:
        self._store = store
        self._now = now

    def deliver(self, effect: fx.StateEffect) -> Effects:
        """Change the instance or entity that an effect is for."""
        match effect:
            case fx.DeliverEvent(instance_id, event, key, sender):
                return self._send(instance_id, event, key, sender)
            case fx.Terminate(instance_id, output, recurse):
                return self._terminate(instance_id, output, recurse)
            case fx.TerminateChildren(parent_id, output):
                children = self._store.children(parent_id)
                return [fx.Terminate(child, output, recurse=True) for child in children]
            case fx.StartChild(parent_id, task_id, started):
                return self._start_child(parent_id, task_id, started)
            case fx.StartDetached(started, scheduled_start):
                return self._start_other(started, scheduled_start)
            case fx.RewindChild(parent_id, created, reason):
                return self._resume_child(parent_id, created, reason)
            case fx.DeliverToEntity(entity_id, event):
                return self._operate(entity_id, event)
            case fx.Unlock(entity_id, section):
                return self._unlock(entity_id, section)

    def create(
        self, started: pb.ExecutionStartedEvent, scheduled_start: int | None = None
    ) -> Effects:
        """Create an instance, in place of an existing one with its ID."""
        existing = self._store.instance(started.orchestrationInstance.instanceId)
        effects = [] if existing is None else self.delete(existing)
        instance, created = instances.create(started, self._now(), scheduled_start)
        self._store.put(instance)
        return [*effects, *created]

    def delete(self, instance: Instance) -> list[fx.Effect]:
        """Delete an instance; its pending work is cancelled."""
        effects: list[fx.Effect] = []
        if not instance.has_ended:
            ended = instances.end_without_worker(
                instance, pb.ORCHESTRATION_STATUS_TERMINATED, self._now()
            )
            # Clients that wait for this ID wait for the instance that takes its place.
            effects += [one for one in ended if not isinstance(one, fx.NotifyWaiters)]
        self._store.remove(instance.instance_id)
        effects += [fx.CancelTimers(instance.instance_id), fx.CancelTurn(instance.instance_id)]
        with suppress(UnavailableError):  # One that has ended and is damaged can still be deleted.
            effects += recovery.cancel_activities(instance)
        return effects

    def put_entity(self, entity: Entity) -> None:
        """Save an entity, or delete it if it is empty."""
        # The service deletes empty entities by itself.
        if entity.is_empty:
            self._store.remove_entity(entity.entity_id)
        else:
            self._store.put_entity(entity)

    def _send(
        self, instance_id: str, event: pb.HistoryEvent, key: int | str | None, sender: str
    ) -> Effects:
        instance = self._store.instance(instance_id)
        if instance is None:
            return ()
        if key is None:
            effects = instances.deliver(instance, event, self._now())
        else:
            effects = instances.answer(instance, key, event, self._now(), sender)
        self._store.put(instance)
        return effects

    def _terminate(self, instance_id: str, output: str | None, recurse: bool) -> Effects:
        instance = self._store.instance(instance_id)
        if instance is None:
            return ()
        effects = instances.terminate(instance, output, recurse, self._now())
        self._store.put(instance)
        return effects

    def _start_child(
        self, parent_id: str, task_id: int, started: pb.ExecutionStartedEvent
    ) -> Effects:
        child_id = started.orchestrationInstance.instanceId
        try:
            existing = self._store.instance(child_id)
        except UnavailableError as error:
            reason = failure("Unavailable", str(error))
        else:
            if existing is None or (existing.has_ended and child_id != parent_id):
                return self.create(started)
            reason = failure(
                "OrchestrationAlreadyExists", f"Orchestration instance '{child_id}' already exists."
            )
        event = instances.sub_orchestration_failed(task_id, reason, self._now())
        return [fx.DeliverEvent(parent_id, event, task_id, child_id)]

    def _start_other(
        self, started: pb.ExecutionStartedEvent, scheduled_start: int | None
    ) -> Effects:
        existing = self._store.instance(started.orchestrationInstance.instanceId)
        if existing is not None and not existing.has_ended:
            return ()
        return self.create(started, scheduled_start)

    def _resume_child(self, parent_id: str, created: pb.HistoryEvent, reason: str) -> Effects:
        parent = self._store.instance(parent_id)
        child_id = created.subOrchestrationInstanceCreated.instanceId
        child = self._store.instance(child_id)
        if parent is None:
            return ()
        if child is None:
            return [fx.StartChild(parent_id, created.eventId, child_of(parent, created))]
        if child.status != pb.ORCHESTRATION_STATUS_FAILED:
            return instances.notify_parent(child, self._now()) if child.has_ended else ()
        news = pb.ExecutionRewoundEvent(
            reason=string_value(reason),
            parentExecutionId=string_value(parent.execution_id),
            instanceId=string_value(child_id),
        )
        effects = reruns.rewind(child, news, self._now())
        self._store.put(child)
        return effects

    def _operate(self, entity_id: str, event: pb.HistoryEvent) -> Effects:
        try:
            entity = self._store.entity(entity_id) or Entity(entity_id, self._now())
        except UnavailableError as error:
            if not event.HasField("entityOperationCalled"):
                raise
            reason = failure("Unavailable", str(error))
            return [entities.call_failed(event.entityOperationCalled, reason, self._now())]
        effects = entities.operate(entity, event, self._now())
        self.put_entity(entity)
        return effects

    def _unlock(self, entity_id: str, section: str) -> Effects:
        entity = self._store.entity(entity_id)
        if entity is None:
            return ()
        effects = entities.unlock(entity, section, self._now())
        self.put_entity(entity)
        return effects
