"""The steps of an orchestrator's turn, as its history records them and as an answer requests them.

A step holds the values that decide whether code matches a history. Request IDs, tags, trace
contexts and the custom status do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from dts_emulator.engine.events import event_type, optional_string

END = "end"

# Event types that record a step; the actions that request it have the same fields.
STEP_EVENTS = frozenset(
    {
        "taskScheduled",
        "timerCreated",
        "subOrchestrationInstanceCreated",
        "eventSent",
        "entityOperationCalled",
        "entityOperationSignaled",
        "entityLockRequested",
        "entityUnlockSent",
    }
)

_ENDINGS = {
    pb.ORCHESTRATION_STATUS_COMPLETED: "completed",
    pb.ORCHESTRATION_STATUS_FAILED: "failed",
    pb.ORCHESTRATION_STATUS_TERMINATED: "terminated",
    pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW: "continued as new",
}


@dataclass(frozen=True)
class Step:
    """One request of an orchestrator, or its end.

    `number` is the ID that a worker matches its history by, None where it uses none. `payload` is
    the JSON text of the input, the event's data or the result. `details` are other values that
    must be equal, by their names.
    """

    kind: str
    name: str
    number: int | None = None
    payload: str | None = None
    details: dict[str, str] = field(default_factory=dict)

    @property
    def failed_with(self) -> str | None:
        """The failure's type that this end reports, without its module; None for anything else."""
        return self.details.get("error type")


def recorded_steps(events: Iterable[pb.HistoryEvent]) -> list[Step]:
    """Return the steps that history events record, including the end, in order."""
    steps = [_step(getattr(item, event_type(item)), item.eventId) for item in events]
    return _in_order(filter(None, steps))


def requested_steps(answer: pb.OrchestratorResponse) -> list[Step]:
    """Return the steps that a worker's answer requests, including the end, in order.

    The termination of another instance is omitted: no history records it.
    """
    return _in_order(filter(None, map(_requested_step, answer.actions)))


def _in_order(steps: Iterable[Step]) -> list[Step]:
    """Return steps in the order of the code, which their numbers give."""
    return sorted(steps, key=lambda step: (step.kind == END, step.number or 0))


def _requested_step(action: pb.OrchestratorAction) -> Step | None:
    kind = action.WhichOneof("orchestratorActionType") or ""
    if kind == "sendEntityMessage":
        message = action.sendEntityMessage
        entity_kind = message.WhichOneof("EntityMessageType") or ""
        return _step(getattr(message, entity_kind, None), action.id)
    return _step(getattr(action, kind, None), action.id)


def _step(body: Message | None, number: int) -> Step | None:
    """Return the step of a history event's body, or of an action's: their fields are alike."""
    match body:
        case pb.TaskScheduledEvent() | pb.ScheduleTaskAction():
            return Step(
                "activity", body.name, number, optional_string(body, "input"), _version(body)
            )
        case pb.TimerCreatedEvent() | pb.CreateTimerAction():
            return Step("timer", "", number, details={"fire time": _moment(body.fireAt)})
        case pb.SubOrchestrationInstanceCreatedEvent() | pb.CreateSubOrchestrationAction():
            details = {"instance ID": body.instanceId, **_version(body)}
            return Step(
                "sub-orchestration", body.name, number, optional_string(body, "input"), details
            )
        case pb.EventSentEvent():
            details = {"target": body.instanceId}
            return Step("event", body.name, number, optional_string(body, "input"), details)
        case pb.SendEventAction():
            details = {"target": body.instance.instanceId}
            return Step("event", body.name, number, optional_string(body, "data"), details)
        case pb.ExecutionCompletedEvent() | pb.CompleteOrchestrationAction():
            return _end(body)
    return _entity_step(body, number)


def _entity_step(body: Message | None, number: int) -> Step | None:
    match body:
        case pb.EntityOperationCalledEvent():
            details = {"entity": body.targetInstanceId.value}
            return Step(
                "entity call", body.operation, number, optional_string(body, "input"), details
            )
        case pb.EntityOperationSignaledEvent():
            due = _moment(body.scheduledTime) if body.HasField("scheduledTime") else ""
            details = {"entity": body.targetInstanceId.value, "scheduled time": due}
            return Step(
                "entity signal", body.operation, number, optional_string(body, "input"), details
            )
        case pb.EntityLockRequestedEvent():
            locks = ", ".join(body.lockSet)
            details = {"entities": locks, "critical section": body.criticalSectionId}
            return Step("entity lock", "", number, details=details)
        case pb.EntityUnlockSentEvent():
            details = {
                "entity": body.targetInstanceId.value,
                "critical section": body.criticalSectionId,
            }
            return Step("entity unlock", "", number, details=details)
    return None


def _end(body: pb.ExecutionCompletedEvent | pb.CompleteOrchestrationAction) -> Step:
    details: dict[str, str] = {}
    if body.HasField("failureDetails"):
        reason = body.failureDetails
        # A worker that is run and one that is imported have different modules.
        kind = reason.errorType.rpartition(".")[2]
        details = {"error type": kind, "error message": _stable(reason.errorMessage)}
    if isinstance(body, pb.CompleteOrchestrationAction) and body.carryoverEvents:
        carried = (item.eventRaised for item in body.carryoverEvents)
        details["carried events"] = ", ".join(f"{one.name}({one.input.value})" for one in carried)
    name = _ENDINGS.get(body.orchestrationStatus, str(body.orchestrationStatus))
    return Step(END, name, payload=optional_string(body, "result"), details=details)


def _stable(message: str) -> str:
    """Return a message without addresses of objects, which differ in every process."""
    return re.sub(r"\b0x[0-9a-fA-F]{6,}", "0x...", message)


def _version(body: Message) -> dict[str, str]:
    return {"version": optional_string(body, "version") or ""}


def _moment(time: Timestamp) -> str:
    """Return a time to the microsecond, which is what every SDK keeps of it at least."""
    if not -62_135_596_800 <= time.seconds < 253_402_300_800:
        return f"{time.seconds} s"
    return time.ToDatetime().isoformat(timespec="microseconds") + "Z"
