"""Carries out what the engine asks for: work for workers, timers, and news from one to another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine import effects as fx
from dts_emulator.engine import entities, instances, reruns
from dts_emulator.engine.actions import child_of
from dts_emulator.engine.events import text
from dts_emulator.engine.failures import failure
from dts_emulator.engine.model import Entity, Timer
from dts_emulator.store import Left

if TYPE_CHECKING:
    from dts_emulator.hub.task_hub import TaskHub

Effects = Iterable[fx.Effect]


class Courier:
    """Brings the effects of one instance or entity to the others of a task hub, under its lock."""

    def __init__(self, hub: TaskHub) -> None:
        self._hub = hub

    def carry_out(self, effect: fx.Effect) -> Effects:
        """Do what an effect asks for, and return what follows from that."""
        match effect:
            case fx.Send() | fx.Terminate() | fx.TerminateChildren():
                return self._tell(effect)
            case fx.StartChild() | fx.StartOther() | fx.ResumeChild():
                return self._start(effect)
            case fx.SetTimer(timer):
                self._set_timer(timer)
                return ()
            case fx.Operate(entity_id, event):
                return self._operate(entity_id, event)
            case fx.Unlock(entity_id, section):
                return self._unlock(entity_id, section)
        self._arrange(effect)
        return ()

    def _set_timer(self, timer: Timer) -> None:
        self._hub.timers.set(timer.due, timer.target, timer)
        if timer.target.startswith("@"):
            self._hub.store.put_timer(timer)

    def _arrange(self, effect: fx.Effect) -> None:
        """Do what concerns workers, timers and waiting clients; nothing follows from that."""
        match effect:
            case fx.TurnReady(instance_id):
                self._hub.offer_turn(instance_id)
            case fx.TurnGone(instance_id):
                self._hub.withdraw_turn(instance_id)
            case fx.BatchReady(entity_id):
                self._hub.offer_batch(entity_id)
            case fx.ActivityReady(activity, version):
                self._hub.offer_activity(activity, version)
            case fx.LeaveActivity(activity, version):
                self._hub.store.leave(Left(activity, version))
            case fx.DropActivity(activity):
                self._hub.withdraw_activity(activity)
            case fx.DropTimers(instance_id):
                self._hub.timers.drop(instance_id)
            case fx.StatusChanged(instance_id):
                instance = self._hub.store.instance(instance_id)
                if instance is not None:
                    self._hub.waiters.notify(instance)

    def _tell(self, effect: fx.Send | fx.Terminate | fx.TerminateChildren) -> Effects:
        match effect:
            case fx.Send(instance_id, event, key, sender):
                return self._send(instance_id, event, key, sender)
            case fx.Terminate(instance_id, output, recurse):
                return self._terminate(instance_id, output, recurse)
            case fx.TerminateChildren(parent_id, output):
                children = self._hub.store.children(parent_id)
                return [fx.Terminate(child, output, recurse=True) for child in children]

    def _start(self, effect: fx.StartChild | fx.StartOther | fx.ResumeChild) -> Effects:
        match effect:
            case fx.StartChild(parent_id, task_id, started):
                return self._start_child(parent_id, task_id, started)
            case fx.StartOther(started, scheduled_start):
                self._start_other(started, scheduled_start)
                return ()
            case fx.ResumeChild(parent_id, created, reason):
                return self._resume_child(parent_id, created, reason)

    def _send(
        self, instance_id: str, event: pb.HistoryEvent, key: int | str | None, sender: str
    ) -> Effects:
        instance = self._hub.store.instance(instance_id)
        if instance is None:
            return ()
        if key is None:
            effects = instances.deliver(instance, event, self._hub.now())
        else:
            effects = instances.answer(instance, key, event, self._hub.now(), sender)
        self._hub.store.put(instance)
        return effects

    def _terminate(self, instance_id: str, output: str | None, recurse: bool) -> Effects:
        instance = self._hub.store.instance(instance_id)
        if instance is None:
            return ()
        effects = instances.terminate(instance, output, recurse, self._hub.now())
        self._hub.store.put(instance)
        return effects

    def _start_child(
        self, parent_id: str, task_id: int, started: pb.ExecutionStartedEvent
    ) -> Effects:
        child_id = started.orchestrationInstance.instanceId
        existing = self._hub.store.instance(child_id)
        if existing is None or (existing.has_ended and child_id != parent_id):
            self._hub.add(started)
            return ()
        reason = failure(
            "OrchestrationAlreadyExists", f"Orchestration instance '{child_id}' already exists."
        )
        event = instances.sub_orchestration_failed(task_id, reason, self._hub.now())
        return [fx.Send(parent_id, event, task_id, child_id)]

    def _start_other(self, started: pb.ExecutionStartedEvent, scheduled_start: int | None) -> None:
        existing = self._hub.store.instance(started.orchestrationInstance.instanceId)
        if existing is None or existing.has_ended:
            self._hub.add(started, scheduled_start)

    def _resume_child(self, parent_id: str, created: pb.HistoryEvent, reason: str) -> Effects:
        parent = self._hub.store.instance(parent_id)
        child_id = created.subOrchestrationInstanceCreated.instanceId
        child = self._hub.store.instance(child_id)
        if parent is None:
            return ()
        if child is None:
            return [fx.StartChild(parent_id, created.eventId, child_of(parent, created))]
        if child.status != pb.ORCHESTRATION_STATUS_FAILED:
            return instances.tell_parent(child, self._hub.now()) if child.has_ended else ()
        news = pb.ExecutionRewoundEvent(
            reason=text(reason),
            parentExecutionId=text(parent.execution_id),
            instanceId=text(child_id),
        )
        effects = reruns.rewind(child, news, self._hub.now())
        self._hub.store.put(child)
        return effects

    def _operate(self, entity_id: str, event: pb.HistoryEvent) -> Effects:
        entity = self._hub.store.entity(entity_id) or Entity(entity_id, self._hub.now())
        effects = entities.operate(entity, event, self._hub.now())
        self._hub.put_entity(entity)
        return effects

    def _unlock(self, entity_id: str, section: str) -> Effects:
        entity = self._hub.store.entity(entity_id)
        if entity is None:
            return ()
        effects = entities.unlock(entity, section, self._hub.now())
        self._hub.put_entity(entity)
        return effects
