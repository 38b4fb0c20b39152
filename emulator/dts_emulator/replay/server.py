"""A scheduler that dispatches recorded turns, one at a time, and nothing else.

It implements the calls that a worker needs for an orchestrator's turn.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Condition
from typing import Any

import grpc
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message_factory import GetMessageClass

from dts_emulator.engine.model import Turn
from dts_emulator.engine.turns import add_chunk
from dts_emulator.hub.leases import Kind, WorkerStream
from dts_emulator.hub.limits import MAX_MESSAGE_BYTES
from dts_emulator.hub.messages import history_chunks
from dts_emulator.hub.work_items import DEFAULT_MESSAGE_BYTES, STREAMED_BYTES
from dts_emulator.hub.worker_api import HEALTH_PING_SECONDS, worker_stream_from

SERVICE = pb.DESCRIPTOR.services_by_name["TaskHubSidecarService"]

# Each worker's stream occupies a thread.
MAX_THREADS = 64

# How long to wait for other workers after one connects that does not accept the turn.
OTHERS_SECONDS = 1.0

# A worker that abandons a turn more often rejects it.
MAX_ABANDONMENTS = 3

POLL_SECONDS = 0.2


class ReplayError(Exception):
    """A history could not be replayed; the message says why."""


class NoAnswerError(ReplayError):
    """No worker connected, or none answered in time."""


class WorkerRefusedError(ReplayError):
    """A worker does not run this orchestrator, or not in this version."""


@dataclass
class _Asked:
    """The turn to answer, and its state."""

    request: pb.OrchestratorRequest
    name: str
    version: str
    token: str = ""
    holder: WorkerStream | None = None
    abandoned: int = 0
    was_lost: bool = False
    answer: pb.OrchestratorResponse | None = None
    turn: Turn = field(default_factory=lambda: Turn(pb.HistoryEvent(), 0))


class ReplayServer:
    """Listens on a free loopback port until it is closed; `endpoint` is its URL.

    `problem` returns why no answer will arrive, None while one may.
    """

    def __init__(self) -> None:
        self.problem: Callable[[], str | None] = lambda: None
        self._changed = Condition()
        self._streams: list[WorkerStream] = []
        self._connected_at = 0.0
        self._tokens = itertools.count(1)
        self._asked: _Asked | None = None
        self._is_closed = False
        self._server = grpc.server(
            ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="replay"),
            options=(
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ),
        )
        self._server.add_generic_rpc_handlers((self._handlers(),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.endpoint = f"http://127.0.0.1:{port}"
        self._server.start()

    def close(self) -> None:
        """End every worker's stream and free the port."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._server.stop(grace=1).wait()

    def ask(
        self, request: pb.OrchestratorRequest, name: str, version: str, timeout: float
    ) -> pb.OrchestratorResponse:
        """Dispatch a turn of the orchestrator `name` and return the worker's answer.

        Raises:
            NoAnswerError: `timeout` seconds have passed, or no answer will arrive.
            WorkerRefusedError: the connected workers do not accept this orchestrator.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            self._asked = asked = _Asked(request, name, version)
            self._changed.notify_all()
            try:
                while asked.answer is None:
                    self._refuse(asked)
                    problem = self.problem()
                    if problem is not None:
                        raise NoAnswerError(problem)
                    if time.monotonic() > deadline:
                        raise NoAnswerError(self._silence(asked, timeout))
                    self._changed.wait(POLL_SECONDS)
                return asked.answer
            finally:
                self._asked = None

    def _refuse(self, asked: _Asked) -> None:
        """Raise WorkerRefusedError if no connected worker accepts the turn."""
        called = f"'{asked.name}'" + (f" in version '{asked.version}'" if asked.version else "")
        if asked.abandoned >= MAX_ABANDONMENTS:
            raise WorkerRefusedError(
                f"The worker gives turns of {called} back without running them: "
                "check the version that it accepts."
            )
        if not self._streams or asked.holder or any(map(self._accepts, self._streams)):
            return
        if time.monotonic() - self._connected_at > OTHERS_SECONDS:
            names = [one.names or {} for one in self._streams]
            known = any(asked.name in one.get(Kind.ORCHESTRATOR, ()) for one in names)
            why = "accepts it in other versions only" if known else "has not registered it"
            raise WorkerRefusedError(f"The worker does not take {called}: it {why}.")

    def _silence(self, asked: _Asked, timeout: float) -> str:
        if not self._streams and not asked.was_lost:
            return f"No worker connected to {self.endpoint} within {timeout:g} s."
        size = asked.request.ByteSize()
        large = f" The turn has {size:,} bytes." if size > DEFAULT_MESSAGE_BYTES else ""
        lost = " Its connection ended meanwhile." if asked.was_lost else ""
        return (
            f"The worker did not answer a turn of '{asked.name}' within {timeout:g} s.{lost}{large}"
        )

    # Streams

    def _accepts(self, stream: WorkerStream) -> bool:
        asked = self._asked
        return asked is not None and stream.accepts(Kind.ORCHESTRATOR, asked.name, asked.version)

    def _leave(self, stream: WorkerStream) -> None:
        with self._changed:
            stream.has_gone = True
            if stream in self._streams:
                self._streams.remove(stream)
            if self._asked is not None and self._asked.holder is stream:
                self._asked.holder = None
                self._asked.was_lost = True
            self._changed.notify_all()

    def _next_message(self, stream: WorkerStream) -> pb.WorkItem | None:
        """Wait for the next message of a stream; return None at its end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_closed or stream.has_gone or self._may_take(stream),
                HEALTH_PING_SECONDS,
            )
            if self._is_closed or stream.has_gone:
                return None
            asked = self._asked
            if asked is None or not self._may_take(stream):
                return pb.WorkItem(healthPing=pb.HealthPing())
            asked.holder, asked.token = stream, str(next(self._tokens))
            asked.turn.reset_chunks()
            return pb.WorkItem(
                completionToken=asked.token, orchestratorRequest=_sent(asked.request, stream)
            )

    def _may_take(self, stream: WorkerStream) -> bool:
        asked = self._asked
        is_free = asked is not None and asked.holder is None and asked.answer is None
        return is_free and self._accepts(stream)

    # The implemented calls, by name

    def _handlers(self) -> grpc.GenericRpcHandler:
        calls: dict[str, Callable[[Any, grpc.ServicerContext], Any]] = {
            "Hello": lambda _, __: Empty(),
            "GetWorkItems": self._get_work_items,
            "StreamInstanceHistory": self._stream_history,
            "CompleteOrchestratorTask": self._complete,
            "AbandonTaskOrchestratorWorkItem": self._abandon,
            # Never dispatched here, but a worker may still answer an earlier scheduler.
            "CompleteActivityTask": lambda _, __: pb.CompleteTaskResponse(),
            "CompleteEntityTask": lambda _, __: pb.CompleteTaskResponse(),
            "AbandonTaskActivityWorkItem": lambda _, __: pb.AbandonActivityTaskResponse(),
            "AbandonTaskEntityWorkItem": lambda _, __: pb.AbandonEntityTaskResponse(),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE.full_name, {name: _handler(name, call) for name, call in calls.items()}
        )

    def _get_work_items(
        self, request: pb.GetWorkItemsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WorkItem]:
        stream = worker_stream_from(request, context.peer())
        if not context.add_callback(lambda: self._leave(stream)):
            return
        with self._changed:
            if stream.has_gone:
                return
            self._streams.append(stream)
            self._connected_at = time.monotonic()
        while (message := self._next_message(stream)) is not None:
            yield message

    def _stream_history(
        self, request: pb.StreamInstanceHistoryRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.HistoryChunk]:
        with self._changed:
            asked = self._asked
        if asked is None or asked.request.instanceId != request.instanceId:
            context.abort(grpc.StatusCode.NOT_FOUND, "No turn of this instance is being replayed.")
        return history_chunks(asked.request.pastEvents)

    def _complete(
        self, answer: pb.OrchestratorResponse, _: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        with self._changed:
            asked = self._asked
            if asked is not None and asked.token == answer.completionToken:
                if answer.requiresHistory:
                    self._give_back(asked)
                else:
                    asked.answer = add_chunk(asked.turn, answer)
                self._changed.notify_all()
        return pb.CompleteTaskResponse()

    def _abandon(
        self, request: pb.AbandonOrchestrationTaskRequest, _: grpc.ServicerContext
    ) -> pb.AbandonOrchestrationTaskResponse:
        with self._changed:
            asked = self._asked
            if asked is not None and asked.token == request.completionToken:
                self._give_back(asked)
                self._changed.notify_all()
        return pb.AbandonOrchestrationTaskResponse()

    def _give_back(self, asked: _Asked) -> None:
        asked.holder, asked.token = None, ""
        asked.abandoned += 1


def _sent(request: pb.OrchestratorRequest, stream: WorkerStream) -> pb.OrchestratorRequest:
    """Return a turn for a stream, without a long history that the worker can fetch."""
    if not stream.streams_history or request.ByteSize() <= STREAMED_BYTES:
        return request
    sent = pb.OrchestratorRequest()
    sent.CopyFrom(request)
    del sent.pastEvents[:]
    sent.requiresHistoryStreaming = True
    return sent


def _handler(
    name: str, call: Callable[[Any, grpc.ServicerContext], Any]
) -> grpc.RpcMethodHandler[Any, Any]:
    method = SERVICE.methods_by_name[name]
    wrap: Callable[..., grpc.RpcMethodHandler[Any, Any]] = (
        grpc.unary_stream_rpc_method_handler
        if method.server_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    return wrap(
        call,
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )
