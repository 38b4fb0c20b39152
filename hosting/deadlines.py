"""A limit for every call: a scheduler that takes a connection and never answers is found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc


class CallDetails(grpc.ClientCallDetails):
    """The details of a call, with another time-out (in seconds)."""

    def __init__(self, details: grpc.ClientCallDetails, timeout: float) -> None:
        self.method = details.method
        self.timeout = timeout
        self.metadata = details.metadata
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


class Deadlines(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Gives each call that has no time-out what `seconds` returns at that moment."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds

    def _limited(self, details: grpc.ClientCallDetails) -> grpc.ClientCallDetails:
        return details if details.timeout else CallDetails(details, self._seconds())

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Pass a call on, limited."""
        return continuation(self._limited(client_call_details), request)

    def intercept_unary_stream(
        self, continuation: Any, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Pass a call on, limited."""
        return continuation(self._limited(client_call_details), request)
