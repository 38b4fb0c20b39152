"""A caller of the default task hub, and a worker that answers by hand, on one connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from durabletask.internal import orchestrator_service_pb2 as pb

from tests import wire
from tests.wire import Wire

COMPLETED = pb.ORCHESTRATION_STATUS_COMPLETED
FAILED = pb.ORCHESTRATION_STATUS_FAILED


class Caller:
    """Calls RPCs about the instance `id`, or another that is named."""

    def __init__(self, connection: Wire) -> None:
        self._wire = connection

    def call(self, rpc: str, request: Any) -> Any:
        """Return the answer of an RPC, or a list of them where it streams."""
        return self._wire.call(rpc, request)

    def code_of(self, rpc: str, request: Any) -> grpc.StatusCode:
        """Return the status that a refused call ends with."""
        code, _ = self._wire.refusal(rpc, request)
        return code

    def start(self, instance_id: str = "id", **fields: Any) -> None:
        wire.start(self._wire, instance_id, **fields)

    def work(self, **fields: Any) -> Iterator[pb.WorkItem]:
        """Connect a worker, and return its stream of work items."""
        stream: Iterator[pb.WorkItem] = self._wire.stream(
            "GetWorkItems", pb.GetWorkItemsRequest(**fields)
        )
        return stream

    def answer(self, item: pb.WorkItem, *actions: pb.OrchestratorAction, **fields: Any) -> None:
        wire.answer(self._wire, item, *actions, **fields)

    def state(self, instance_id: str = "id") -> pb.OrchestrationState:
        return wire.state_of(self._wire, instance_id)


def ended(status: pb.OrchestrationStatus = COMPLETED, **fields: Any) -> pb.OrchestratorAction:
    return wire.completed(orchestrationStatus=status, **fields)


def activity(task_id: int = 1) -> pb.OrchestratorAction:
    return pb.OrchestratorAction(id=task_id, scheduleTask=pb.ScheduleTaskAction(name="a"))


def child(task_id: int, instance_id: str) -> pb.OrchestratorAction:
    request = pb.CreateSubOrchestrationAction(instanceId=instance_id, name="o")
    return pb.OrchestratorAction(id=task_id, createSubOrchestration=request)
