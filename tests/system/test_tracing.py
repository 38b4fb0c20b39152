"""Traces: what a collector gets of a run, and what happens where there is none."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections import Counter
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from emulator import Emulator
from tests.collector import Collector, collecting
from tests.processes import run, running

ORCHESTRATION = "orchestration:fan_out_fan_in_orchestrator"
CREATION = "create_orchestration:fan_out_fan_in_orchestrator"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Give a running collector."""
    with collecting() as collector:
        yield collector


def run_sample(count: int, scheduler: dict[str, str], **variables: str) -> None:
    """Run worker and client to their ends, with which the last spans have been sent."""
    with running("worker.py", **scheduler, **variables) as worker:
        client = run("client.py", str(count), **scheduler, **variables)
        assert worker.stop().status == 0
    assert client.status == 0, client.stderr


def test_a_run_is_one_trace_of_client_orchestration_and_activities(
    scheduler: dict[str, str], collector: Collector
) -> None:
    run_sample(5, scheduler, **collector.variables)
    assert len(collector.traces()) == 1
    # The orchestrator waits for each activity (CLIENT) that the worker runs (SERVER).
    kinds = Counter((each.name, Span.SpanKind.Name(each.span.kind)) for each in collector.collected)
    assert kinds == {
        (CREATION, "SPAN_KIND_PRODUCER"): 1,
        (ORCHESTRATION, "SPAN_KIND_SERVER"): 1,
        ("activity:process_work_item", "SPAN_KIND_CLIENT"): 5,
        ("activity:process_work_item", "SPAN_KIND_SERVER"): 5,
        ("activity:aggregate_results", "SPAN_KIND_CLIENT"): 1,
        ("activity:aggregate_results", "SPAN_KIND_SERVER"): 1,
    }
    for each in collector.collected:
        if each.name.startswith("activity:"):
            assert collector.ancestors(each)[-2:] == [ORCHESTRATION, CREATION]


def test_every_run_is_a_trace_of_its_own(scheduler: dict[str, str], collector: Collector) -> None:
    for _ in range(2):
        run_sample(1, scheduler, **collector.variables)
    assert len(collector.traces()) == 2


def test_the_instances_page_names_its_trace(collector: Collector) -> None:
    with Emulator(dashboard_port=0) as emulator:
        with running("worker.py", ENDPOINT=emulator.endpoint):
            variables = {"ENDPOINT": emulator.endpoint, **collector.variables}
            run("client.py", "1", "--instance-id", "traced", **variables)
        page = f"{emulator.dashboard_url}/taskhubs/default/instances/traced"
        with urllib.request.urlopen(page, timeout=10) as answer:
            shown = answer.read().decode()
    (trace_id,) = collector.traces()
    assert f'<dd class="id">{trace_id.hex()}</dd>' in shown


def test_a_span_names_the_program_it_comes_from(
    scheduler: dict[str, str], collector: Collector
) -> None:
    run_sample(1, scheduler, **collector.variables)
    services = {(each.name.partition(":")[0], each.service) for each in collector.collected}
    assert services == {
        ("create_orchestration", "client"),
        ("orchestration", "worker"),
        ("activity", "worker"),
    }


def test_the_standard_variables_are_heard(scheduler: dict[str, str], collector: Collector) -> None:
    run_sample(1, scheduler, **collector.variables, OTEL_SERVICE_NAME="squares")
    assert {each.service for each in collector.collected} == {"squares"}


def test_a_collector_that_does_not_answer_costs_a_line_and_no_more(
    scheduler: dict[str, str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]  # Nobody listens there any more when the worker starts.
    nobody = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    with running("worker.py", **scheduler, **nobody) as worker:
        client = run("client.py", "2", **scheduler, **nobody)
        ended = worker.stop()
    assert (client.status, ended.status) == (0, 0)
    assert json.loads(client.stdout)["sum"] == 5
    for log in (client.stderr, ended.stderr):
        assert log.count("takes no traces") == 1
        assert "Traceback" not in log


WITHOUT_THE_PACKAGES = (
    "import sys; sys.modules['opentelemetry.exporter'] = None; "
    "import client; sys.exit(client.main(['1', '--timeout', '20']))"
)


def test_traces_without_their_packages_cost_a_line_and_no_more(
    scheduler: dict[str, str], collector: Collector
) -> None:
    with running("worker.py", **scheduler):
        client = run("-c", WITHOUT_THE_PACKAGES, **scheduler, **collector.variables)
    assert client.status == 0
    assert "pip install --require-hashes -r requirements-otel.lock" in client.stderr
    assert "Traceback" not in client.stderr


@pytest.mark.parametrize("program", ["worker", "client"])
def test_nothing_is_imported_for_traces_that_nobody_wants(program: str) -> None:
    script = (
        f"import sys, {program}; from hosting.program import start; start('{program}'); "
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    assert run("-c", script).stdout == "[]\n"
