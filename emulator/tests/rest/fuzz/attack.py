"""Sends random calls as clients and as a worker that answers what it was never asked."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import grpc
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.message_factory import GetMessageClass

from dts_emulator.engine.turns import COMPLETIONS
from tests.rest.fuzz.messages import random_message
from tests.wire import METHODS, Wire

# With what a call may be refused. UNKNOWN and INTERNAL are the emulator's own errors.
ALLOWED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
}
LONG = {"WaitForInstanceStart", "WaitForInstanceCompletion", "GetWorkItems"}
KINDS = {
    "OrchestratorResponse": "orchestratorRequest",
    "ActivityResponse": "activityRequest",
    "EntityBatchResult": "entityRequestV2",
}
ENDS = sorted(COMPLETIONS)
ANSWERS = {"CompleteOrchestratorTask", "CompleteActivityTask", "CompleteEntityTask"}


@dataclass(frozen=True)
class Call:
    """One random call. `aimed`: it answers, or abandons, a work item that there is."""

    name: str
    seed: int
    aimed: bool
    repeated: bool


class Attacker:
    """A client and a worker that mean no good, or do not know better."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._items: list[pb.WorkItem] = []
        self._streams: list[Any] = []

    def listen(self) -> None:
        """Be a worker that takes everything."""
        stream = self._wire.stream("GetWorkItems", pb.GetWorkItemsRequest())
        self._streams.append(stream)
        threading.Thread(target=self._take, args=(stream,), daemon=True).start()

    def _take(self, stream: Any) -> None:
        with suppress(grpc.RpcError):  # It is cancelled in the end.
            self._items.extend(stream)

    def hang_up(self) -> None:
        """Go away without a word."""
        for stream in self._streams:
            stream.cancel()

    def make(self, call: Call) -> None:
        """Make a call, perhaps twice; fail if the emulator has made an error."""
        random = Random(call.seed)
        if random.random() < 0.05:
            request: Any = random.randbytes(random.choice([1, 10, 1000]))
        else:
            request = random_message(GetMessageClass(METHODS[call.name].input_type), random)
            if call.aimed or call.name in ANSWERS:
                self._aim(request, random)
        for _ in range(2 if call.repeated else 1):
            self._send(call.name, request)

    def _send(self, name: str, request: Any) -> None:
        if name in LONG:
            self._streams.append(
                self._wire.stream(name, request)
                if METHODS[name].server_streaming
                else self._wire.later(name, request)
            )
            return
        try:
            self._wire.call(name, request)
        except grpc.RpcError as refused:
            if refused.code() not in ALLOWED:
                raise

    def _aim(self, request: Any, random: Random) -> None:
        """Let a message name a work item that there is, of its kind if possible."""
        fields = request.DESCRIPTOR.fields_by_name
        if not self._items or "completionToken" not in fields:
            return
        kind = KINDS.get(request.DESCRIPTOR.name, "")
        of_kind = [item for item in self._items if kind and item.HasField(kind)]
        # Mostly one that is still to be answered, now and then any other.
        item = random.choice(of_kind[-5:] if of_kind and random.random() < 0.8 else self._items)
        request.completionToken = item.completionToken
        if "instanceId" in fields:
            request.instanceId = (
                item.orchestratorRequest.instanceId
                or item.activityRequest.orchestrationInstance.instanceId
            )
        if "taskId" in fields:
            request.taskId = item.activityRequest.taskId
        if isinstance(request, pb.OrchestratorResponse):
            # Most random ends are refused; the other actions are what may do harm.
            for action in request.actions:
                if action.HasField("completeOrchestration"):
                    action.completeOrchestration.orchestrationStatus = random.choice(ENDS)


@contextmanager
def no_error_is_logged() -> Iterator[None]:
    """Fail if anything was logged as an error meanwhile."""
    errors: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not record.name.startswith("tests"):
                errors.append(self.format(record))

    collector = Collector(logging.ERROR)
    logging.getLogger().addHandler(collector)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(collector)
    assert not errors, "\n".join(errors)
