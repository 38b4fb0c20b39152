"""A collector of traces on loopback: takes what exporters send over OTLP/HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Collected:
    """A span, and the service that has sent it."""

    service: str
    span: Span

    @property
    def name(self) -> str:
        """What was done, e.g. `activity:process_work_item`."""
        return self.span.name


class Collector:
    """The spans that have come to `endpoint`."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.collected: list[Collected] = []

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a program that exports its traces to here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint}

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep the spans of one request."""
        for sender in request.resource_spans:
            attributes = {each.key: each.value.string_value for each in sender.resource.attributes}
            for scope in sender.scope_spans:
                self.collected += [
                    Collected(attributes["service.name"], span) for span in scope.spans
                ]

    def traces(self) -> set[bytes]:
        """Return the IDs of all traces."""
        return {each.span.trace_id for each in self.collected}

    def ancestors(self, collected: Collected) -> list[str]:
        """Return the names of all spans above one, the nearest first."""
        by_id = {each.span.span_id: each for each in self.collected}
        above = by_id.get(collected.span.parent_span_id)
        return [above.name, *self.ancestors(above)] if above else []


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector for the length of a block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                collector.take(ExportTraceServiceRequest.FromString(body))
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
