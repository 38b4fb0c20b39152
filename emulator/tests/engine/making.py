"""Instances, actions and answers as the tests of the engine make them. One second is one tick."""

from __future__ import annotations

from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine import effects as fx
from dts_emulator.engine import instances, turns
from dts_emulator.engine.events import SECOND, event, event_type
from dts_emulator.engine.model import Instance

NOW = 1_000 * SECOND


def started(instance_id: str = "id", **fields: Any) -> pb.ExecutionStartedEvent:
    """Return the start of an orchestration named 'o'."""
    named = pb.OrchestrationInstance(instanceId=instance_id)
    return pb.ExecutionStartedEvent(name="o", orchestrationInstance=named, **fields)


def new_instance(instance_id: str = "id", **fields: Any) -> Instance:
    """Return an instance that no worker has seen yet."""
    return instances.create(started(instance_id, **fields), NOW)[0]


def running(*actions: pb.OrchestratorAction, **fields: Any) -> Instance:
    """Return an instance whose orchestrator has asked for `actions` in its first turn."""
    instance = new_instance(**fields)
    take_turn(instance, *actions)
    return instance


def take_turn(
    instance: Instance, *actions: pb.OrchestratorAction, now: int = NOW, **fields: Any
) -> list[fx.Effect]:
    """Give an instance's next turn to a worker, which asks for `actions`; return the effects."""
    turns.take(instance, now)
    answer = pb.OrchestratorResponse(instanceId=instance.instance_id, actions=actions, **fields)
    return list(turns.settle(instance, answer, now))


def failure(message: str = "no luck") -> pb.TaskFailureDetails:
    return pb.TaskFailureDetails(errorType="Error", errorMessage=message)


def task_completed(task_id: int, now: int = NOW) -> pb.HistoryEvent:
    return event(now, taskCompleted=pb.TaskCompletedEvent(taskScheduledId=task_id))


def task_failed(task_id: int, now: int = NOW) -> pb.HistoryEvent:
    failed = pb.TaskFailedEvent(taskScheduledId=task_id, failureDetails=failure())
    return event(now, taskFailed=failed)


def news(name: str = "go", now: int = NOW) -> pb.HistoryEvent:
    return event(now, eventRaised=pb.EventRaisedEvent(name=name))


def kinds(events: list[pb.HistoryEvent]) -> list[str]:
    """Return what has happened, in the protocol's words."""
    return [event_type(item) for item in events]


def only(effects: list[fx.Effect], kind: type[Any]) -> list[Any]:
    """Return the effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]
