"""What an orchestrator may ask for in a turn."""

from __future__ import annotations

from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.events import string_value, timestamp

COMPLETED = pb.ORCHESTRATION_STATUS_COMPLETED
FAILED = pb.ORCHESTRATION_STATUS_FAILED
TERMINATED = pb.ORCHESTRATION_STATUS_TERMINATED
CONTINUED = pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW


def activity(task_id: int = 1, **fields: Any) -> pb.OrchestratorAction:
    return pb.OrchestratorAction(id=task_id, scheduleTask=pb.ScheduleTaskAction(name="a", **fields))


def timer(task_id: int, fire_at: int) -> pb.OrchestratorAction:
    return pb.OrchestratorAction(
        id=task_id, createTimer=pb.CreateTimerAction(fireAt=timestamp(fire_at))
    )


def child(task_id: int, instance_id: str, **fields: Any) -> pb.OrchestratorAction:
    request = pb.CreateSubOrchestrationAction(instanceId=instance_id, name="child", **fields)
    return pb.OrchestratorAction(id=task_id, createSubOrchestration=request)


def sent(task_id: int, instance_id: str) -> pb.OrchestratorAction:
    target = pb.OrchestrationInstance(instanceId=instance_id)
    request = pb.SendEventAction(instance=target, name="news", data=string_value('"hi"'))
    return pb.OrchestratorAction(id=task_id, sendEvent=request)


def completion(
    status: pb.OrchestrationStatus = COMPLETED, result: str | None = None, **fields: Any
) -> pb.OrchestratorAction:
    action = pb.CompleteOrchestrationAction(
        orchestrationStatus=status, result=string_value(result), **fields
    )
    return pb.OrchestratorAction(id=-1, completeOrchestration=action)
