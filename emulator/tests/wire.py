"""Calls the emulator over gRPC as a program of any language would, right or wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.message_factory import GetMessageClass

from dts_emulator import Emulator
from tests.processes import PATIENCE_SECONDS

SERVICE = pb.DESCRIPTOR.services_by_name["TaskHubSidecarService"]
METHODS = {method.name: method for method in SERVICE.methods}
LIMIT = 64 * 1024 * 1024


class Wire:
    """A channel on which every RPC can be called by its name, with any request, even raw bytes."""

    def __init__(self, channel: grpc.Channel, task_hub: str = "default") -> None:
        self._channel = channel
        self._metadata = (("taskhub", task_hub),)

    def call(self, name: str, request: Any, timeout: float = PATIENCE_SECONDS) -> Any:
        """Return the answer, or a list of them where the RPC streams.

        Raises:
            grpc.RpcError: the emulator has refused the call.
        """
        answer = self._stub(name)(request, metadata=self._metadata, timeout=timeout)
        return list(answer) if METHODS[name].server_streaming else answer

    def stream(self, name: str, request: Any) -> Any:
        """Return the running call of an RPC that streams; cancel it in the end."""
        return self._stub(name)(request, metadata=self._metadata)

    def later(self, name: str, request: Any) -> Any:
        """Return the future of a call."""
        return self._stub(name).future(request, metadata=self._metadata)

    def refusal(self, name: str, request: Any) -> tuple[grpc.StatusCode, str]:
        """Call what must be refused; return how it was."""
        with pytest.raises(grpc.RpcError) as refused:
            self.call(name, request)
        return refused.value.code(), refused.value.details() or ""

    def start(self, instance_id: str = "id", name: str = "o", **fields: Any) -> None:
        """Schedule an orchestration."""
        request = pb.CreateInstanceRequest(instanceId=instance_id, name=name, **fields)
        self.call("StartInstance", request)

    def work(self, **fields: Any) -> Iterator[pb.WorkItem]:
        """Connect a worker for as long as the connection lasts; return its work items."""
        stream = self.stream("GetWorkItems", pb.GetWorkItemsRequest(**fields))
        return (item for item in stream if not item.HasField("healthPing"))

    @contextmanager
    def working(self, **fields: Any) -> Iterator[Iterator[pb.WorkItem]]:
        """Connect a worker for the length of a block; give its work items."""
        stream = self.stream("GetWorkItems", pb.GetWorkItemsRequest(**fields))
        try:
            yield (item for item in stream if not item.HasField("healthPing"))
        finally:
            stream.cancel()

    def answer(self, item: pb.WorkItem, *actions: pb.OrchestratorAction, **fields: Any) -> None:
        """Answer a turn; `fields` may make the answer a wrong one."""
        self.call("CompleteOrchestratorTask", response_to(item, *actions, **fields))

    def state(self, instance_id: str = "id") -> pb.OrchestrationState:
        """Return an instance's state, with its input and output."""
        return self._state("GetInstance", instance_id)

    def end(self, instance_id: str = "id") -> pb.OrchestrationState:
        """Wait for an instance's end and return its state."""
        return self._state("WaitForInstanceCompletion", instance_id)

    def _state(self, rpc: str, instance_id: str) -> pb.OrchestrationState:
        request = pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True)
        state: pb.OrchestrationState = self.call(rpc, request).orchestrationState
        return state

    def _stub(self, name: str) -> Any:
        method = METHODS[name]
        make = self._channel.unary_stream if method.server_streaming else self._channel.unary_unary
        return make(
            f"/{SERVICE.full_name}/{name}",
            request_serializer=lambda r: r if isinstance(r, bytes) else r.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )


@contextmanager
def wire_to(emulator: Emulator, **options: Any) -> Iterator[Wire]:
    """Connect to an emulator for the length of a block."""
    limits = {"grpc.max_receive_message_length": LIMIT, "grpc.use_local_subchannel_pool": 1}
    with grpc.insecure_channel(
        f"127.0.0.1:{emulator.port}", options=[*(limits | options).items()]
    ) as channel:
        yield Wire(channel)


def response_to(
    item: pb.WorkItem, *actions: pb.OrchestratorAction, **fields: Any
) -> pb.OrchestratorResponse:
    """Return an answer to a turn; `fields` may make it a wrong one."""
    right: dict[str, Any] = {
        "instanceId": item.orchestratorRequest.instanceId,
        "completionToken": item.completionToken,
        "actions": actions,
    }
    return pb.OrchestratorResponse(**(right | fields))
