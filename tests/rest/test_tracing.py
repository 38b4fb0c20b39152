"""`opentelemetry-instrument` makes one trace of client, orchestrator and activities."""

from __future__ import annotations

import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.conftest import NewTaskHub
from tests.processes import lines_of_trouble, run, running
from tests.test_readme import section

pytestmark = pytest.mark.system

INSTRUMENT = str(Path(sys.executable).parent / "opentelemetry-instrument")
ORCHESTRATION = "orchestration:fan_out_fan_in_orchestrator"
CREATION = "create_orchestration:fan_out_fan_in_orchestrator"


@dataclass(frozen=True)
class Collected:
    """A span, and the service that has sent it."""

    service: str
    span: Span


@contextmanager
def collecting() -> Iterator[tuple[str, list[Collected]]]:
    """Run a collector that speaks OTLP over HTTP; give its address and the spans it receives."""
    collected: list[Collected] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for sender in ExportTraceServiceRequest.FromString(body).resource_spans:
                attributes = {each.key: each.value for each in sender.resource.attributes}
                service = attributes["service.name"].string_value
                for scope in sender.scope_spans:
                    collected.extend(Collected(service, span) for span in scope.spans)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", collected
        server.shutdown()
        thread.join()


def variables_in_readme() -> dict[str, str]:
    """Return what README exports before it starts a program."""
    lines = re.findall(r"^export (.+)$", section("Trace it"), re.MULTILINE)
    pairs = [pair.split("=", 1) for line in lines for pair in line.split()]
    return dict(pairs)


def test_a_run_is_one_trace_of_client_orchestrator_and_activities(
    new_task_hub: NewTaskHub,
) -> None:
    scheduler = new_task_hub(check_determinism=False)  # The check would double the spans.
    with collecting() as (endpoint, collected):
        variables = {**variables_in_readme(), **scheduler}
        variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        traced = (INSTRUMENT, sys.executable)
        with running(*traced, "worker.py", OTEL_SERVICE_NAME="worker", **variables) as worker:
            client = run(*traced, "client.py", "5", OTEL_SERVICE_NAME="client", **variables)
            ended = worker.stop()
    assert ended.status == 0
    assert lines_of_trouble(ended) == []
    assert client.status == 0, client.stderr
    assert len({each.span.trace_id for each in collected}) == 1
    # The orchestrator waits for each activity (CLIENT) that the worker runs (SERVER).
    kinds = Counter(
        (each.service, each.span.name, Span.SpanKind.Name(each.span.kind))
        for each in collected
        if each.span.name.startswith(("activity:", "orchestration:", "create_orchestration:"))
    )
    assert kinds == {
        ("client", CREATION, "SPAN_KIND_PRODUCER"): 1,
        ("worker", ORCHESTRATION, "SPAN_KIND_SERVER"): 1,
        ("worker", "activity:process_work_item", "SPAN_KIND_CLIENT"): 5,
        ("worker", "activity:process_work_item", "SPAN_KIND_SERVER"): 5,
        ("worker", "activity:aggregate_results", "SPAN_KIND_CLIENT"): 1,
        ("worker", "activity:aggregate_results", "SPAN_KIND_SERVER"): 1,
    }
    by_id = {each.span.span_id: each.span for each in collected}
    for each in collected:
        if each.span.name.startswith("activity:") and each.service == "worker":
            above = each.span
            while above.parent_span_id in by_id:
                above = by_id[above.parent_span_id]
            assert above.name == CREATION
