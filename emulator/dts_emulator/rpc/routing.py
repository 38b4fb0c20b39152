"""Routes each gRPC call to the service method of its RPC and task hub."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Semaphore
from typing import Any, NoReturn

import grpc
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from dts_emulator.engine.errors import (
    ExhaustedError,
    ExistsError,
    InvalidError,
    NotFoundError,
    PreconditionError,
    RefusedError,
    UnavailableError,
)
from dts_emulator.hub.task_hubs import TaskHubs
from dts_emulator.rpc.service import Service

SERVICE = pb.DESCRIPTOR.services_by_name["TaskHubSidecarService"]

STATUSES: dict[type[RefusedError], grpc.StatusCode] = {
    InvalidError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    ExistsError: grpc.StatusCode.ALREADY_EXISTS,
    PreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
    ExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
}

# Each connected worker, and each client that reads a history, occupies a thread.
MAX_STREAMS = 1000

MAX_WORDS = 1000

# The metadata that names the task hub of a call.
HUB_KEY = "taskhub"

# The header of answers to clients that names the dashboard's port. It costs 0.1 ms per call, and
# workers do not need it.
DASHBOARD_KEY = "dts-dashboard-port"
WORKER_RPCS = ("GetWorkItems", "Complete", "Abandon")

Headers = tuple[tuple[str, str], ...]


def handlers_of(hubs: TaskHubs, dashboard_port: int | None = None) -> grpc.GenericRpcHandler:
    """Return the handlers of all RPCs that the service class has; others are UNIMPLEMENTED."""
    headers = () if dashboard_port is None else ((DASHBOARD_KEY, str(dashboard_port)),)
    services: dict[str, Service] = {}

    def service_of(context: grpc.ServicerContext) -> Service:
        hub = hubs.of_call(_task_hub(context))
        return services.get(hub.name) or services.setdefault(hub.name, Service(hub))

    streams = Semaphore(MAX_STREAMS)
    handlers = {
        method.name: _handler(
            method, service_of, streams, () if method.name.startswith(WORKER_RPCS) else headers
        )
        for method in SERVICE.methods
        if hasattr(Service, method.name)
    }
    return grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)


def _handler(
    method: Any,
    service_of: Callable[[grpc.ServicerContext], Service],
    streams: Semaphore,
    headers: Headers,
) -> grpc.RpcMethodHandler[Any, Any]:
    """Return the handler of one RPC: find the task hub's service, call its method of this name.

    A method with a third argument, `reply`, answers later, from any thread, and blocks none
    meanwhile. For gRPC it is a stream of one message, which looks the same to clients.
    """
    function = getattr(Service, method.name)
    answers_later = "reply" in function.__annotations__

    def call(requests: list[Any], context: grpc.ServicerContext, reply: Any = None) -> Any:
        try:
            (request,) = requests
            if request is None:
                raise InvalidError(f"The request is not a valid {method.input_type.name}.")
            service = service_of(context)
            if method.server_streaming:
                _take_place(streams, context)
            if answers_later:
                return function(service, request, context, _announced(reply, headers, context))
            answer = function(service, request, context)
        except RefusedError as error:
            # Once headers have come, gRPC does not repeat the call for clients that ask it to.
            if not isinstance(error, UnavailableError):
                _send_headers(context, headers)
            refuse(context, error)
        _send_headers(context, headers)
        return answer

    call.experimental_non_blocking = answers_later  # type: ignore[attr-defined]
    wrap: Callable[..., grpc.RpcMethodHandler[Any, Any]] = (
        grpc.unary_stream_rpc_method_handler
        if method.server_streaming or answers_later
        else grpc.unary_unary_rpc_method_handler
    )
    return wrap(
        call,
        request_deserializer=_reader(GetMessageClass(method.input_type)),
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )


def _send_headers(context: grpc.ServicerContext, headers: Headers) -> None:
    if headers:
        with suppress(grpc.RpcError):  # The client has gone away.
            context.send_initial_metadata(headers)


def _announced(
    reply: Callable[[Any], None], headers: Headers, context: grpc.ServicerContext
) -> Callable[[Any], None]:
    """Return `reply` so that an answer comes with headers."""

    def send(answer: Any) -> None:
        if answer is not None:
            _send_headers(context, headers)
        reply(answer)

    return send


def refuse(context: grpc.ServicerContext, error: RefusedError) -> NoReturn:
    """End a call with the status that belongs to an error."""
    words = str(error)
    # The message travels in a header and may contain a name chosen by the caller.
    words = words if len(words) <= MAX_WORDS else f"{words[:MAX_WORDS]}..."
    context.abort(STATUSES[type(error)], words)
    raise error


def _reader(kind: type[Message]) -> Callable[[bytes], list[Message | None]]:
    """Return a function that parses a request; None stands for an invalid one.

    The result is a list, because gRPC treats None as an internal error.
    """

    def read(data: bytes) -> list[Message | None]:
        try:
            return [kind.FromString(data)]
        except DecodeError:
            return [None]

    return read


def too_many_streams() -> ExhaustedError:
    """Return the error for a worker or a history reader beyond the limit."""
    return ExhaustedError(f"This emulator serves at most {MAX_STREAMS:,} streams simultaneously.")


def _take_place(streams: Semaphore, context: grpc.ServicerContext) -> None:
    if not streams.acquire(blocking=False):
        raise too_many_streams()
    if not context.add_callback(streams.release):
        streams.release()


def _task_hub(context: grpc.ServicerContext) -> str:
    return next((str(value) for key, value in context.invocation_metadata() if key == HUB_KEY), "")
