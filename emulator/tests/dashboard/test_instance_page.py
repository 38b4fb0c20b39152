"""The page of one instance: values, steps, timeline and history."""

from __future__ import annotations

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.dashboard.models import STATUSES
from tests.dashboard.asking import asking, page
from tests.dashboard.histories import OUTPUT, History, at, failed_with, fan_out_fan_in
from tests.dashboard.hubs import ShownHub, finished_run, make_instance

HUB = "/taskhubs/default"
RUN = f"{HUB}/instances/run-1"


def test_a_finished_instance_shows_its_output() -> None:
    shown = page(ShownHub(finished_run()), RUN)
    assert f'<pre id="output">{OUTPUT}</pre>' in shown
    assert '<pre id="input">[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]</pre>' in shown


def test_each_step_has_a_bar_and_a_row() -> None:
    shown = page(ShownHub(finished_run()), RUN)
    for number in range(1, 12):
        assert f'<li id="bar-{number}">' in shown
        assert f'<tr id="step-{number}">' in shown


def test_every_history_event_is_shown() -> None:
    shown = page(ShownHub(finished_run()), RUN)
    assert shown.count('<tr id="event-') == len(fan_out_fan_in().raw)
    assert "ExecutionCompleted" in shown


def test_a_failure_shows_type_message_stack_and_cause() -> None:
    failure = failed_with("no", "OrderError", "line 7", failed_with("bank", "IOError", None))
    shown = " ".join(page(ShownHub(make_instance(status="FAILED", failure=failure)), RUN).split())
    for content in ("OrderError</strong>: no", "line 7", "IOError</strong>: bank"):
        assert content in shown


def test_a_retried_step_shows_its_attempts() -> None:
    history = History().scheduled(0, 1).failed(1, 1).scheduled(2, 1).completed(3, 1)
    assert "2 attempts" in page(ShownHub(make_instance(history=history)), RUN)


def test_custom_status_is_shown_when_there_is_one() -> None:
    assert "Custom status" in page(ShownHub(make_instance(custom_status='"half way"')), RUN)
    assert "Custom status" not in page(ShownHub(make_instance()), RUN)


def test_a_child_leads_to_its_parent() -> None:
    assert f'href="{HUB}/instances/boss"' in page(ShownHub(make_instance(parent_id="boss")), RUN)


@pytest.mark.parametrize(
    ("trace_parent", "shown"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("00-<b>-b7ad6b7169203331-01", False),
        ("", False),
    ],
)
def test_the_trace_that_an_instance_belongs_to_is_named(trace_parent: str, shown: bool) -> None:
    context = pb.TraceContext(traceParent=trace_parent)
    started = pb.ExecutionStartedEvent(name="run", parentTraceContext=context)
    hub = ShownHub(make_instance(history=History().add(0, executionStarted=started)))
    trace_id = '<dt>Trace ID</dt><dd class="id">0af7651916cd43dd8448eb211c80319c</dd>'
    assert (trace_id in page(hub, RUN)) == shown
    assert "Trace ID" not in page(ShownHub(finished_run()), RUN)


def test_an_instance_without_history_has_a_page() -> None:
    shown = page(ShownHub(make_instance(status="PENDING", history=History())), RUN)
    assert "No step has been scheduled yet." in shown


@pytest.mark.parametrize("status", STATUSES)
def test_only_an_instance_that_can_still_change_is_refreshed(status: str) -> None:
    ended = status in ("COMPLETED", "FAILED", "TERMINATED")
    shown = page(ShownHub(make_instance(status=status)), RUN)
    assert f'data-live="{"no" if ended else "yes"}"' in shown


def test_a_value_of_a_mebibyte_is_cut_until_all_of_it_is_asked_for() -> None:
    client = asking(ShownHub(make_instance(input=f'"{"x" * (1 << 20)}"')))
    cut = client.get(RUN)
    assert len(cut.content) < 20_000
    assert "The first 600 of 1,048,578 characters" in cut.text
    assert 'href="?show=input#input"' in cut.text
    assert len(client.get(f"{RUN}?show=input").content) > 1 << 20


@pytest.fixture(scope="module")
def thousand() -> ShownHub:
    return ShownHub(finished_run(items=1000))


def test_a_thousand_equal_steps_are_one_row_of_the_timeline(thousand: ShownHub) -> None:
    shown = page(thousand, RUN)
    assert '<li id="group-process_work_item">' in shown
    assert shown.count('<li id="bar-') == 1


def test_each_of_a_thousand_steps_can_be_reached(thousand: ShownHub) -> None:
    shown = page(thousand, f"{RUN}?steps=process_work_item&page=20")
    assert shown.count('<li id="bar-') == 50
    assert '<li id="bar-1000">' in shown
    assert '<tr id="step-1000">' in shown


def test_a_long_history_is_paged(thousand: ShownHub) -> None:
    assert page(thousand, RUN).count('<tr id="event-') == 40
    assert '<tr id="event-41">' in page(thousand, f"{RUN}?events=2")


def test_a_running_step_grows_until_now() -> None:
    history = History().scheduled(0, 1)
    running = make_instance(status="RUNNING", history=history, created_at=at(0))
    assert "so far" in page(ShownHub(running), RUN)


def test_the_state_of_the_workers_is_told_to_who_waits_for_an_instance() -> None:
    hub = ShownHub(make_instance(status="RUNNING"), workers=0, waiting=1)
    assert "No worker is connected" in page(hub, RUN)
