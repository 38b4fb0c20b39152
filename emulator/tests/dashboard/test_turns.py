"""The history in the protocol's order: one line for each turn."""

from __future__ import annotations

import re
from typing import Any
from urllib.request import urlopen

from durabletask import task
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from dts_emulator.dashboard.models import InstanceDetail
from dts_emulator.dashboard.sdk_history import public_event
from dts_emulator.dashboard.turns import log_of, turns_of
from tests.dashboard.asking import page, plain
from tests.dashboard.histories import History, at
from tests.dashboard.hubs import ShownHub, make_instance
from tests.parts import GATES, RUNS, Rejected, pass_gate
from tests.processes import wait_until
from tests.programs import program_of

RUN = "/taskhubs/default/instances/run-1"


def late() -> History:
    """Write a history in which results have arrived before the turns that take them."""
    history = History().turn(0.01).started("run", "1").scheduled(0.02, 1).scheduled(0.02, 2)
    history.turn(0.6).completed(0.4, 1).completed(0.5, 2).scheduled(0.7, 3)
    return history.turn(0.9).completed(0.65, 3).ended(0.95, "9", status=1)


def detail_of(history: History) -> InstanceDetail:
    detail = ShownHub(make_instance(history=history)).instance("run-1")
    assert detail
    return detail


def test_the_log_has_the_order_of_the_downloaded_file() -> None:
    downloaded = [public_event(event) for event in late().raw]
    assert [entry.event for entry in log_of(detail_of(late()))] == downloaded


def test_an_answer_stands_in_the_turn_that_it_starts() -> None:
    turns = turns_of(log_of(detail_of(late())), 0, 100)
    assert [(turn.number, turn.counts) for turn in turns] == [
        (1, {"ExecutionStarted": 1, "TaskScheduled": 2}),
        (2, {"TaskCompleted": 2, "TaskScheduled": 1}),
        (3, {"TaskCompleted": 1, "ExecutionCompleted": 1}),
    ]
    assert turns[0].timestamp == at(0.01)


def test_a_turn_on_two_pages_is_counted_as_a_whole_and_said_to_go_on() -> None:
    log = log_of(detail_of(late()))
    [first] = turns_of(log, 0, 3)
    second = turns_of(log, 3, 6)[0]
    assert (first.is_continued, second.is_continued) == (False, True)
    assert first.counts == second.counts


def test_an_event_that_no_turn_has_taken_in_is_marked() -> None:
    instance = make_instance(status="RUNNING", history=History().turn(0).scheduled(0.1, 1))
    instance.inbox += History().completed(0.5, 1).raw
    shown = page(ShownHub(instance), RUN)
    assert "for the next turn" in shown
    assert '<span class="badge completed">' in shown, "the step is done, whoever knows of it"


def test_results_that_come_after_a_failure_count_as_completed_steps_everywhere() -> None:
    history = History().turn(0).started("run", "1")
    for number in range(1, 6):
        history.scheduled(0.1, number)
    history.turn(1).failed(0.9, 1).ended(1.1, status=pb.ORCHESTRATION_STATUS_FAILED)
    instance = make_instance(status="FAILED", history=history)
    for number in range(2, 6):
        instance.inbox += History().completed(1.5, number).raw
    shown = plain(page(ShownHub(instance), RUN))
    assert "5 of 5 steps done, 1 failed" in shown
    assert re.search(r"All 5 \S+ Completed 4 \S+ Failed 1 ", shown)
    assert "Unfinished" not in shown
    assert "after the end" in shown


def test_results_after_the_failure_of_a_real_run_count_in_one_place() -> None:
    gates = [f"after-failure-{number}" for number in range(4)]

    def failing(_: Any, __: Any) -> None:
        raise Rejected("no")

    def fan_out(ctx: task.OrchestrationContext, _: Any) -> Any:
        steps: list[task.Task[Any]] = [ctx.call_activity(pass_gate, input=gate) for gate in gates]
        yield ctx.call_activity(failing)
        yield task.when_all(steps)

    with (
        Emulator(dashboard_port=0) as emulator,
        program_of(emulator, fan_out, pass_gate, failing) as client,
    ):
        client.schedule_new_orchestration(fan_out, instance_id="run-1")
        wait_until(lambda: all(RUNS[gate] for gate in gates), "all steps run")
        client.wait_for_orchestration_completion("run-1", timeout=30)
        for gate in gates:
            GATES[gate].set()

        def shown() -> str:
            with urlopen(f"{emulator.dashboard_url}{RUN}", timeout=10) as answer:
                return plain(answer.read().decode())

        wait_until(lambda: "5 of 5 steps done, 1 failed" in shown(), "all results are counted")
        assert re.search(r"All 5 \S+ Completed 4 \S+ Failed 1 ", shown())
        assert "Unfinished" not in shown()


def test_a_turn_is_one_line_until_it_is_opened() -> None:
    hub = ShownHub(make_instance(history=late()))
    assert '<details id="turn-2">' in page(hub, RUN)
    assert "TaskScheduled" in page(hub, RUN).split('id="turn-2"')[1].split("</summary>")[0]
    assert '<details id="turn-2" open>' in page(hub, f"{RUN}?turns=open")


def test_statuses_in_events_are_words() -> None:
    shown = page(ShownHub(make_instance(history=late())), RUN)
    assert "<dt>orchestration_status</dt> <dd><code>COMPLETED</code>" in " ".join(shown.split())
