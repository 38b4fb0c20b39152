"""What surrounds the SDK's client: repeated calls, the page, progress, outputs, exit statuses."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from durabletask import history, task
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.client import OrchestrationState, OrchestrationStatus, TaskHubGrpcClient

from hosting.clients import ClientError, ClientRun, Exit, count, exit_statuses
from hosting.errors import describe, shorten, why_it_failed
from hosting.scheduler import ConfigurationError, Scheduler
from tests.sample import LARGE, Sample
from tests.test_errors import call_error

if TYPE_CHECKING:
    from dts_emulator import Emulator

ATTACH = "python client.py --attach"
NOW = datetime.now(timezone.utc)


@contextmanager
def connected(scheduler: Scheduler, timeout: float = 5) -> Iterator[tuple[ClientRun, Any]]:
    """Give what surrounds a client, and the client."""
    run = ClientRun(timeout, ATTACH)
    with DurableTaskSchedulerClient(**scheduler.connection(), **run.options(scheduler)) as client:
        yield run, client


@pytest.fixture
def both(emulator: Emulator) -> Iterator[tuple[ClientRun, TaskHubGrpcClient]]:
    """Give a client where no worker runs, and what surrounds it."""
    with connected(Scheduler(emulator.endpoint)) as both:
        yield both


# Start and attach


def test_an_id_in_use_is_refused_with_the_command_that_waits_for_it(
    both: tuple[ClientRun, TaskHubGrpcClient],
) -> None:
    run, client = both
    run.require_unused(client, None)
    run.require_unused(client, "mine")
    client.schedule_new_orchestration("any", instance_id="mine")
    with pytest.raises(ClientError, match=f"'mine' is in use.* {ATTACH} mine") as refused:
        run.require_unused(client, "mine")
    assert refused.value.status is Exit.USAGE
    with pytest.raises(grpc.RpcError) as failed:
        client.schedule_new_orchestration("any", instance_id="mine")
    assert run.explain(failed.value) == (Exit.USAGE, str(refused.value))


def test_an_unknown_id_cannot_be_attached_to(both: tuple[ClientRun, TaskHubGrpcClient]) -> None:
    run, client = both
    with pytest.raises(ClientError, match="There is no orchestration with ID 'x'") as refused:
        run.attach(client, "x")
    assert refused.value.status is Exit.USAGE


def test_the_user_learns_what_became_of_the_orchestration(
    both: tuple[ClientRun, TaskHubGrpcClient],
) -> None:
    run, client = both
    assert run.outcome() == "Nothing was started."
    client.schedule_new_orchestration("any", instance_id="mine")
    assert run.outcome() == f"The orchestration continues. To wait for it: {ATTACH} mine"


def test_an_instance_that_was_purged_is_status_4(
    both: tuple[ClientRun, TaskHubGrpcClient],
) -> None:
    run, client = both
    client.schedule_new_orchestration("any", instance_id="mine")
    client.terminate_orchestration("mine")
    client.wait_for_orchestration_completion("mine", timeout=5)
    client.purge_orchestration("mine")
    with (
        pytest.raises(ClientError, match="'mine' no longer exists: it was purged") as gone,
        run.waiting(client, "mine"),
    ):
        client.wait_for_orchestration_completion("mine", timeout=0.1)
    assert gone.value.status is Exit.UNREACHABLE


# Repeated calls

Call = namedtuple("Call", "method timeout")
UNSENT = call_error("UNAVAILABLE", "failed to connect to all addresses")
CUT = call_error("UNAVAILABLE", "Socket closed")
IN_USE = call_error("ALREADY_EXISTS")


class Answered:
    """A call that the scheduler has answered."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.OK

    def initial_metadata(self) -> tuple[()]:
        return ()


def start(*attempts: Any) -> tuple[str, int, str]:
    """Return the code, the number of calls and the outcome of a start with these answers."""
    answers = list(attempts)
    for answer in answers:
        answer.initial_metadata = tuple
    run = ClientRun(5, ATTACH)
    request = SimpleNamespace(instanceId="mine")
    details = Call("/x/StartInstance", None)
    call = run.intercept_unary_unary(lambda *_: answers.pop(0), details, request)
    return call.code().name, len(attempts) - len(answers), run.outcome().partition(" To wait")[0]


STARTED, NOTHING = "The orchestration continues.", "Nothing was started."


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([Answered()], ("OK", 1, STARTED)),
        ([UNSENT, UNSENT, Answered()], ("OK", 3, STARTED)),
        ([CUT, IN_USE], ("OK", 2, STARTED)),
        ([UNSENT, IN_USE], ("ALREADY_EXISTS", 2, NOTHING)),
        ([IN_USE], ("ALREADY_EXISTS", 1, NOTHING)),
        ([call_error("PERMISSION_DENIED")], ("PERMISSION_DENIED", 1, NOTHING)),
        (
            [CUT, call_error("PERMISSION_DENIED")],
            ("PERMISSION_DENIED", 2, "The orchestration may have been started."),
        ),
    ],
    ids=["answered", "starting", "answer lost", "of another", "in use", "refused", "unknown"],
)
def test_a_start_is_repeated_through_an_outage_and_counts_once(
    answers: list[Any], expected: tuple[str, int, str]
) -> None:
    assert start(*answers) == expected


# The page

PATH = "/subscriptions/local/schedulers/emulator/taskhubs"


def page_after_a_call(scheduler: Scheduler, instance_id: str) -> str:
    with connected(scheduler) as (run, client):
        client.get_orchestration_state(instance_id)
        return run.page_of(instance_id)


def test_the_page_is_at_the_port_that_the_emulator_names() -> None:
    dts_emulator = pytest.importorskip("dts_emulator", reason="there is no emulator/")
    with dts_emulator.Emulator(dashboard_port=0) as emulator:
        page = page_after_a_call(Scheduler(emulator.endpoint), "a/b?c")
        port = emulator.dashboard_url.rpartition(":")[2]
    assert page == f"http://127.0.0.1:{port}{PATH}/default/orchestrations/a%2Fb%3Fc"


def test_an_emulator_without_a_dashboard_has_no_page(emulator: Emulator) -> None:
    assert page_after_a_call(Scheduler(emulator.endpoint), "id") == ""


def test_the_page_in_azure_is_the_services_dashboard() -> None:
    run = ClientRun(5, ATTACH)
    run.options(Scheduler("https://name.region.durabletask.io", "my hub", "DefaultAzure"))
    assert run.page_of("id") == (
        "https://dashboard.durabletask.io/"
        "?endpoint=https%3A%2F%2Fname.region.durabletask.io&taskhub=my%20hub"
    )


# Progress


def begun(*ids: int) -> list[history.HistoryEvent]:
    return [history.TaskScheduledEvent(number, NOW, name="any_name") for number in ids]


def done(*ids: int) -> list[history.HistoryEvent]:
    return [history.TaskCompletedEvent(-1, NOW, task_scheduled_id=number) for number in ids]


PARTS: list[history.HistoryEvent] = [
    history.SubOrchestrationInstanceCreatedEvent(n, NOW, instance_id=f"p{n}", name="part")
    for n in (1, 2, 3)
]
ENDED_PART = history.SubOrchestrationInstanceCompletedEvent(-1, NOW, task_scheduled_id=1)


@pytest.mark.parametrize(
    ("events", "total", "counted"),
    [
        ([], 3, (0, 3)),
        ([], None, (0, 0)),
        ([*begun(1, 2, 3), *done(2, 3)], 3, (2, 3)),
        ([*begun(1, 2, 3), *done(2, 3)], None, (2, 3)),
        ([*begun(1, 2), *done(1, 2), *begun(3), *done(3)], 2, (2, 2)),
        (PARTS, 2500, (0, 2500)),
        ([*PARTS, ENDED_PART], 2500, (833, 2500)),
        ([*PARTS, *[ENDED_PART] * 3], 2500, (2500, 2500)),
        ([*PARTS, ENDED_PART], None, (1, 3)),
    ],
)
def test_finished_items_are_counted_in_the_history(
    events: list[history.HistoryEvent], total: int | None, counted: tuple[int, int]
) -> None:
    assert count(events, total) == counted


# Results and failures


def state_of(status: OrchestrationStatus, output: str | None) -> OrchestrationState:
    return OrchestrationState("id", "any", status, NOW, NOW, None, output, None, None)


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ('{"sum": 385}', {"sum": 385}),
        ("null", None),
        (None, None),
        ("plain words", "plain words"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_an_output_that_is_not_json_is_a_text(
    both: tuple[ClientRun, TaskHubGrpcClient], output: str | None, value: Any
) -> None:
    run, client = both
    assert run.output_of(client, state_of(OrchestrationStatus.COMPLETED, output)) == value


def test_a_terminated_orchestration_is_status_1_with_the_reason(
    both: tuple[ClientRun, TaskHubGrpcClient],
) -> None:
    run, client = both
    client.schedule_new_orchestration("any", instance_id="mine")
    client.terminate_orchestration("mine", output="wrong items")
    state = client.wait_for_orchestration_completion("mine", timeout=5)
    with pytest.raises(ClientError, match='was TERMINATED: "wrong items"') as ended:
        run.output_of(client, state)
    assert ended.value.status is Exit.FAILED


@pytest.mark.parametrize(
    ("work", "orchestrator"),
    [([8, 7], "fan_out_fan_in_orchestrator"), ({"parts": [[8], [9, 7]], "more": 0}, LARGE)],
    ids=["flat", "in parts"],
)
def test_a_failed_run_names_the_activity_and_the_item(
    sample: Sample, work: Any, orchestrator: str
) -> None:
    def process_work_item(_: task.ActivityContext, item: int) -> dict[str, int]:
        if item == 7:
            raise ValueError("no such item")
        return {"item": item, "result": item}

    sample.replaced["process_work_item"] = process_work_item
    state = sample.run(work, orchestrator)
    assert state.failure_details is not None
    reason = why_it_failed(sample.client, state.instance_id, state.failure_details)
    assert reason == "process_work_item failed for 7: ValueError: no such item"


def test_an_orchestrators_own_error_names_no_activity(sample: Sample) -> None:
    state = sample.run(7)
    assert state.failure_details is not None
    reason = why_it_failed(sample.client, state.instance_id, state.failure_details)
    assert reason == describe(state.failure_details)


def test_a_long_item_is_cut_to_80_characters() -> None:
    assert shorten("x" * 80) == "x" * 80
    assert shorten("x" * 81) == "x" * 77 + "..."


# Exit statuses


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ClientError(Exit.FAILED, "It failed."), 1, "It failed."),
        (ConfigurationError("TASKHUB is set but empty."), 2, "TASKHUB is set but empty."),
        (call_error("INVALID_ARGUMENT", "It has 2 MB"), 2, "does not accept this input: It has"),
        (
            call_error("RESOURCE_EXHAUSTED", "Sent message larger than max (9 vs. 8)"),
            2,
            "does not accept this input",
        ),
        (call_error("RESOURCE_EXHAUSTED", "Too many requests"), 4, "Too many requests"),
        (OSError(28, "No space left on device"), 2, "Cannot write the result to stdout: No space"),
        (UNSENT, 4, "No scheduler answers at http://localhost:8080"),
        (call_error("NOT_FOUND", "No task hub 'x'"), 4, "Check TASKHUB. Nothing was started."),
        (KeyboardInterrupt(), 130, "Interrupted. Nothing was started."),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_an_error_ends_the_client_with_one_line_and_its_status(
    error: BaseException, status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit) as ended, exit_statuses(5, ATTACH):
        raise error
    assert ended.value.code == status
    assert len(caplog.messages) == (1 if words else 0)
    assert words in "".join(caplog.messages)
    assert "--attach" not in "".join(caplog.messages)


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), exit_statuses(5, ATTACH):
        raise ZeroDivisionError
