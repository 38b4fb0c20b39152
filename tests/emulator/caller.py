"""Calls over a real connection without an SDK, and a worker that answers by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as stubs

from emulator import Emulator
from tests.processes import PATIENCE_SECONDS

COMPLETED = pb.ORCHESTRATION_STATUS_COMPLETED
FAILED = pb.ORCHESTRATION_STATUS_FAILED


class Caller:
    """Calls RPCs over a real connection, and is a worker that answers by hand."""

    def __init__(self, emulator: Emulator) -> None:
        options = [("grpc.max_receive_message_length", 64 * 1024 * 1024)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{emulator.port}", options)
        self.stub: Any = stubs.TaskHubSidecarServiceStub(self.channel)

    def call(self, rpc: str, request: Any) -> Any:
        """Call an RPC of the hub 'default'."""
        metadata = [("taskhub", "default")]
        return getattr(self.stub, rpc)(request, metadata=metadata, timeout=PATIENCE_SECONDS)

    def code_of(self, rpc: str, request: Any) -> grpc.StatusCode:
        """Return the status that a refused call ends with."""
        with pytest.raises(grpc.RpcError) as refused:
            self.call(rpc, request)
        code: grpc.StatusCode = refused.value.code()
        return code

    def start(self, instance_id: str = "id", **fields: Any) -> None:
        self.call(
            "StartInstance", pb.CreateInstanceRequest(instanceId=instance_id, name="o", **fields)
        )

    def work(self, **fields: Any) -> Iterator[pb.WorkItem]:
        """Connect a worker, and return its stream of work items."""
        stream: Iterator[pb.WorkItem] = self.call("GetWorkItems", pb.GetWorkItemsRequest(**fields))
        return stream

    def answer(self, item: pb.WorkItem, *actions: pb.OrchestratorAction, **fields: Any) -> None:
        request: dict[str, Any] = {
            "instanceId": item.orchestratorRequest.instanceId,
            "completionToken": item.completionToken,
            "actions": actions,
        }
        self.call("CompleteOrchestratorTask", pb.OrchestratorResponse(**(request | fields)))

    def state(self, instance_id: str = "id") -> pb.OrchestrationState:
        request = pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True)
        state: pb.OrchestrationState = self.call("GetInstance", request).orchestrationState
        return state


def ended(status: pb.OrchestrationStatus = COMPLETED, **fields: Any) -> pb.OrchestratorAction:
    action = pb.CompleteOrchestrationAction(orchestrationStatus=status, **fields)
    return pb.OrchestratorAction(id=-1, completeOrchestration=action)


def activity(task_id: int = 1) -> pb.OrchestratorAction:
    return pb.OrchestratorAction(id=task_id, scheduleTask=pb.ScheduleTaskAction(name="a"))


def child(task_id: int, instance_id: str) -> pb.OrchestratorAction:
    request = pb.CreateSubOrchestrationAction(instanceId=instance_id, name="o")
    return pb.OrchestratorAction(id=task_id, createSubOrchestration=request)
