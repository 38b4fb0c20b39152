"""The actions that an orchestrator requests in a turn, one rule for each."""

from __future__ import annotations

from collections.abc import Callable

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine import entities
from dts_emulator.engine.effects import (
    DeliverEvent,
    DeliverToEntity,
    Effect,
    SetTimer,
    StartChild,
    Terminate,
    Unlock,
)
from dts_emulator.engine.events import copy_fields, event, optional_string, time_of
from dts_emulator.engine.model import Instance, Timer
from dts_emulator.engine.recovery import offer_activity, timer_of


def apply_action(instance: Instance, action: pb.OrchestratorAction, now: int) -> list[Effect]:
    """Record one action in the history and return its effects; ignore unknown ones."""
    rule = _RULES.get(action.WhichOneof("orchestratorActionType") or "")
    return rule(instance, action, now) if rule is not None else []


def schedule_activity(instance: Instance, action: pb.OrchestratorAction, now: int) -> list[Effect]:
    """Offer an activity."""
    task = action.scheduleTask
    scheduled = pb.TaskScheduledEvent(name=task.name, tags=task.tags)
    copy_fields(task, scheduled, "version", "input", "parentTraceContext")
    asked = _ask(instance, event(now, action.id, taskScheduled=scheduled), action.id)
    return [offer_activity(instance, asked)]


def create_timer(instance: Instance, action: pb.OrchestratorAction, now: int) -> list[Effect]:
    """Set a timer."""
    fire_at = action.createTimer.fireAt
    _ask(
        instance,
        event(now, action.id, timerCreated=pb.TimerCreatedEvent(fireAt=fire_at)),
        action.id,
    )
    return [SetTimer(timer_of(instance.instance_id, action.id, fire_at))]


def create_sub_orchestration(
    instance: Instance, action: pb.OrchestratorAction, now: int
) -> list[Effect]:
    """Create a sub-orchestration; its end is the answer."""
    request = action.createSubOrchestration
    created = pb.SubOrchestrationInstanceCreatedEvent(
        instanceId=request.instanceId, name=request.name, tags=request.tags
    )
    copy_fields(request, created, "version", "input", "parentTraceContext")
    asked = event(now, action.id, subOrchestrationInstanceCreated=created)
    _ask(instance, asked, action.id)
    return [StartChild(instance.instance_id, action.id, child_of(instance, asked))]


def child_of(parent: Instance, created: pb.HistoryEvent) -> pb.ExecutionStartedEvent:
    """Return the start of the sub-orchestration that an event of its parent has created."""
    request = created.subOrchestrationInstanceCreated
    parent_info = pb.ParentInstanceInfo(
        taskScheduledId=created.eventId,
        orchestrationInstance=pb.OrchestrationInstance(instanceId=parent.instance_id),
    )
    parent_info.name.value = parent.name
    parent_info.orchestrationInstance.executionId.value = parent.execution_id
    if parent.version is not None:
        parent_info.version.value = parent.version
    started = pb.ExecutionStartedEvent(
        name=request.name,
        orchestrationInstance=pb.OrchestrationInstance(instanceId=request.instanceId),
        parentInstance=parent_info,
        tags=request.tags,
    )
    copy_fields(request, started, "version", "input", "parentTraceContext")
    return started


def send_event(instance: Instance, action: pb.OrchestratorAction, now: int) -> list[Effect]:
    """Send an event to an instance; one that does not exist is ignored."""
    request = action.sendEvent
    target = request.instance.instanceId
    sent = pb.EventSentEvent(instanceId=target, name=request.name)
    raised = pb.EventRaisedEvent(name=request.name)
    if request.HasField("data"):
        sent.input.CopyFrom(request.data)
        raised.input.CopyFrom(request.data)
    instance.history.append(event(now, action.id, eventSent=sent))
    return [DeliverEvent(target, event(now, eventRaised=raised))]


def terminate_other(_: Instance, action: pb.OrchestratorAction, __: int) -> list[Effect]:
    """Terminate another instance."""
    request = action.terminateOrchestration
    return [Terminate(request.instanceId, optional_string(request, "reason"), request.recurse)]


def send_entity_message(
    instance: Instance, action: pb.OrchestratorAction, now: int
) -> list[Effect]:
    """Signal, call, lock or unlock an entity."""
    message = action.sendEntityMessage
    kind = message.WhichOneof("EntityMessageType")
    if kind is None:
        return []
    recorded = event(now, action.id, **{kind: getattr(message, kind)})
    instance.history.append(recorded)
    target = entities.targets_of(message)[0]
    if kind == "entityUnlockSent":
        return [Unlock(target, message.entityUnlockSent.criticalSectionId)]
    operation = event(now, **{kind: getattr(message, kind)})
    if kind == "entityOperationSignaled":
        due = time_of(message.entityOperationSignaled, "scheduledTime")
        return signal(target, operation, due, now)
    body = getattr(operation, kind)
    body.parentInstanceId.value = instance.instance_id
    if kind == "entityOperationCalled":
        body.parentExecutionId.value = instance.execution_id
        instance.pending_tasks[body.requestId] = recorded
    else:
        instance.pending_tasks[body.criticalSectionId] = recorded
    return [DeliverToEntity(target, operation)]


def signal(entity_id: str, operation: pb.HistoryEvent, due: int | None, now: int) -> list[Effect]:
    """Queue a signal for an entity, now or when it is due."""
    if due is not None and due > now:
        return [SetTimer(Timer(due, entity_id, operation))]
    return [DeliverToEntity(entity_id, operation)]


def _ask(instance: Instance, asked: pb.HistoryEvent, key: int | str) -> pb.HistoryEvent:
    instance.history.append(asked)
    instance.pending_tasks[key] = asked
    return asked


Rule = Callable[[Instance, pb.OrchestratorAction, int], "list[Effect]"]

_RULES: dict[str, Rule] = {
    "scheduleTask": schedule_activity,
    "createTimer": create_timer,
    "createSubOrchestration": create_sub_orchestration,
    "sendEvent": send_event,
    "terminateOrchestration": terminate_other,
    "sendEntityMessage": send_entity_message,
}
