"""Traces: what a collector gets of a run, and what happens where there is none."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections import Counter
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from dts_emulator import Emulator
from tests.collector import Collector, collecting
from tests.processes import run, running

ORCHESTRATION = "orchestration:fan_out_fan_in_orchestrator"
CREATION = "create_orchestration:fan_out_fan_in_orchestrator"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Give a running collector."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def two_runs(fresh_task_hubs: Iterator[dict[str, str]]) -> Iterator[Collector]:
    """Give a collector that has got the spans of two runs of five items."""
    scheduler = next(fresh_task_hubs)
    with collecting() as collector:
        with running("worker.py", **scheduler, **collector.variables) as worker:
            for _ in range(2):
                client = run("client.py", "5", **scheduler, **collector.variables)
                assert client.status == 0, client.stderr
            assert worker.stop().status == 0
        yield collector


def test_a_run_is_one_trace_of_client_orchestration_and_activities(two_runs: Collector) -> None:
    assert len(two_runs.traces()) == 2
    for trace_id in two_runs.traces():
        spans = [each for each in two_runs.collected if each.span.trace_id == trace_id]
        # The orchestrator waits for each activity (CLIENT) that the worker runs (SERVER).
        kinds = Counter((each.name, Span.SpanKind.Name(each.span.kind)) for each in spans)
        assert kinds == {
            (CREATION, "SPAN_KIND_PRODUCER"): 1,
            (ORCHESTRATION, "SPAN_KIND_SERVER"): 1,
            ("activity:process_work_item", "SPAN_KIND_CLIENT"): 5,
            ("activity:process_work_item", "SPAN_KIND_SERVER"): 5,
            ("activity:aggregate_results", "SPAN_KIND_CLIENT"): 1,
            ("activity:aggregate_results", "SPAN_KIND_SERVER"): 1,
        }
        for each in spans:
            if each.name.startswith("activity:"):
                assert two_runs.ancestors(each)[-2:] == [ORCHESTRATION, CREATION]


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


def test_a_span_names_the_program_it_comes_from(two_runs: Collector) -> None:
    services = {(each.name.partition(":")[0], each.service) for each in two_runs.collected}
    assert services == {
        ("create_orchestration", "client"),
        ("orchestration", "worker"),
        ("activity", "worker"),
    }


def test_the_standard_variables_are_heard(scheduler: dict[str, str], collector: Collector) -> None:
    variables = {**scheduler, **collector.variables, "OTEL_SERVICE_NAME": "squares"}
    with running("worker.py", **variables) as worker:
        client = run("client.py", "1", **variables)
        assert worker.stop().status == 0
    assert client.status == 0, client.stderr
    assert {each.service for each in collector.collected} == {"squares"}


def test_a_collector_that_does_not_answer_costs_a_line_and_no_more(
    scheduler: dict[str, str],
) -> None:
    with socket.socket() as taken:
        # Nobody listens there, and nobody else can.
        taken.bind(("127.0.0.1", 0))
        nobody = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{taken.getsockname()[1]}"}
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
