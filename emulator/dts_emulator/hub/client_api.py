"""Requests of a task hub's clients: each is applied under the lock, then saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine import entities, instances, reruns
from dts_emulator.engine.actions import signal
from dts_emulator.engine.errors import NotFoundError
from dts_emulator.engine.events import event, string_value
from dts_emulator.engine.ids import check_instance_id, new_id
from dts_emulator.engine.model import Entity, Instance
from dts_emulator.engine.tags import check_tags
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.hub.waiters import STOPPING, Waiter
from dts_emulator.store import Filter

# The number of instances that a purge deletes before it releases the lock.
PURGE_PAGE = 200


class Clients:
    """The requests of clients, and of the dashboard, to one task hub.

    Every method may raise a RefusedError; then it has changed nothing.
    """

    def __init__(self, hub: TaskHub) -> None:
        self._hub = hub

    def start(
        self,
        started: pb.ExecutionStartedEvent,
        scheduled_start: int | None,
        replaceable: frozenset[int],
    ) -> str:
        """Create an instance and return its ID.

        An existing instance with this ID is replaced if its status is one of `replaceable`.
        """
        start = started.orchestrationInstance
        start.instanceId = check_instance_id(start.instanceId or new_id())
        check_tags(started.tags)
        with self._hub.transaction():
            reruns.check_reuse(self._hub.store.instance(start.instanceId), replaceable)
            self._hub.create_instance(started, scheduled_start)
        return start.instanceId

    def find(self, instance_id: str) -> Instance | None:
        """Return an instance, None if there is none. Called under the lock."""
        return self._hub.store.instance(instance_id)

    def wait(self, instance_id: str, waiter: Waiter) -> Callable[[], None]:
        """Answer once the instance meets the condition; return a function that stops waiting."""
        with self._hub.lock:
            instance = self._hub.store.instance(instance_id)
            refusal = STOPPING if self._hub.is_closed else self._hub.store.problem
            if refusal is not None:
                self._hub.waiters.reply(waiter, refusal)
            elif instance is not None and waiter.is_enough(instance):
                self._hub.waiters.answer(instance, [waiter])
            else:
                return self._stop_of(instance_id, self._hub.waiters.add(instance_id, waiter))
        return lambda: None

    def _stop_of(self, instance_id: str, number: int) -> Callable[[], None]:
        def stop() -> None:
            with self._hub.lock:
                self._hub.waiters.remove(instance_id, number)

        return stop

    def raise_event(self, instance_id: str, raised: pb.EventRaisedEvent) -> None:
        """Send an external event; an ended instance ignores it."""
        with self._hub.transaction():
            news = event(self._hub.now(), eventRaised=raised)
            self._hub.change(self._existing(instance_id), instances.deliver, news)

    def suspend(self, instance_id: str, reason: str | None) -> None:
        """Suspend an instance; no effect if it has ended or is suspended."""
        with self._hub.transaction():
            suspended = pb.ExecutionSuspendedEvent(input=string_value(reason))
            news = event(self._hub.now(), executionSuspended=suspended)
            self._hub.change(self._existing(instance_id), instances.deliver, news)

    def resume(self, instance_id: str, reason: str | None) -> None:
        """Resume an instance; no effect unless it is suspended."""
        with self._hub.transaction():
            resumed = pb.ExecutionResumedEvent(input=string_value(reason))
            news = event(self._hub.now(), executionResumed=resumed)
            self._hub.change(self._existing(instance_id), instances.deliver, news)

    def terminate(self, instance_id: str, output: str | None, recurse: bool) -> None:
        """Terminate an instance that has not ended; with `recurse`, its sub-orchestrations too."""
        with self._hub.transaction():
            instance = self._existing(instance_id)
            self._hub.change(instance, instances.terminate, output, recurse)

    def skip_termination(self, instance_ids: Iterable[str], reason: str | None) -> list[str]:
        """End instances without their workers; return the IDs of those that this excludes."""
        left: list[str] = []
        with self._hub.transaction():
            for instance_id in instance_ids:
                instance = self._hub.store.instance(instance_id)
                if instance is None or instance.has_ended or self._holds_lock(instance):
                    left.append(instance_id)
                    continue
                self._hub.change(instance, instances.terminate_without_worker, reason)
        return left

    def _holds_lock(self, instance: Instance) -> bool:
        return any(
            (entity := self._hub.store.entity(unlock.entity_id)) is not None
            and entity.critical_section == unlock.critical_section
            for unlock in instances.release_locks(instance)
        )

    def restart(self, instance_id: str, with_new_id: bool) -> str:
        """Run an instance again from its start and return the ID of the new run."""
        with self._hub.transaction():
            instance = self._existing(instance_id)
            new_instance_id = new_id() if with_new_id else instance_id
            self._hub.create_instance(reruns.restarted(instance, new_instance_id))
        return new_instance_id

    def rewind(self, instance_id: str, reason: str | None) -> None:
        """Resume a failed instance from before its failure."""
        with self._hub.transaction():
            news = pb.ExecutionRewoundEvent(reason=string_value(reason))
            self._hub.change(self._existing(instance_id), reruns.rewind, news)

    def history(self, instance_id: str) -> list[pb.HistoryEvent]:
        """Return an instance's history. Called under the lock."""
        return list(self._existing(instance_id).history)

    def _existing(self, instance_id: str) -> Instance:
        instance = self._hub.store.instance(instance_id)
        if instance is None:
            raise NotFoundError(f"Orchestration instance '{instance_id}' not found")
        return instance

    # Purging

    def purge(self, instance_ids: Iterable[str], recursive: bool) -> int:
        """Delete those of the instances that have ended, and return their number.

        With `recursive`, their ended sub-orchestrations are deleted and counted too.
        """
        purged = 0
        with self._hub.transaction():
            todo = list(instance_ids)
            while todo:
                instance = self._hub.store.instance(todo.pop())
                if instance is None or not instance.has_ended:
                    continue
                if recursive:
                    todo += self._hub.store.children(instance.instance_id)
                self._hub.delete_instance(instance)
                purged += 1
        return purged

    def purge_all(self, wanted: Filter, recursive: bool, timeout: float | None) -> tuple[int, bool]:
        """Delete the ended instances that match, for at most `timeout` seconds.

        Return their number, and whether these were all.
        """
        end = None if timeout is None else time.monotonic() + timeout
        purged = 0
        while end is None or time.monotonic() < end:
            with self._hub.durable_read():
                page = self._hub.store.by_completion(wanted, None, PURGE_PAGE)
                ids = [instance.instance_id for instance in page]
            if not ids:
                return purged, True
            purged += self.purge(ids, recursive)
        return purged, False

    def purge_entity(self, entity_id: str) -> int:
        """Delete an entity unless it is locked or has operations; return the number deleted."""
        with self._hub.transaction():
            entity = self._hub.store.entity(entity_id)
            if entity is None or entity.locked_by or entity.queue or entity.batch:
                return 0
            self._hub.store.remove_entity(entity_id)
        return 1

    # Entities

    def signal(self, entity_id: str, request: pb.SignalEntityRequest, due: int | None) -> None:
        """Queue an operation of an entity, now or when it is due."""
        with self._hub.transaction():
            now = self._hub.now()
            operation = entities.signalled(entity_id, request.name, request, now)
            self._hub.apply(signal(entity_id, operation, due, now))

    def entity(self, entity_id: str) -> Entity | None:
        """Return an entity that has a state, None for any other. Called under the lock."""
        entity = self._hub.store.entity(entity_id)
        return entity if entity is not None and entity.state is not None else None
