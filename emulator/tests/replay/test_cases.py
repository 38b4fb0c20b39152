"""What instances go through besides their steps does not disturb a replay."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from durabletask import history as h
from durabletask import task
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.worker import TaskHubGrpcWorker

from dts_emulator import Emulator, Replayer, ReplayResult
from tests import parts
from tests.processes import wait_until
from tests.programs import (
    end_of,
    functions_of,
    is_running,
    new_client,
    program_of,
    quiet,
    wait_for_status,
    worker_of,
)
from tests.replay.recording import History, renamed, turns_until

Steps = Generator[Any, Any, Any]
Context = task.OrchestrationContext

SUSPENDED = OrchestrationStatus.SUSPENDED


@pytest.fixture(scope="module")
def client() -> Iterator[TaskHubGrpcClient]:
    """Give a client of an emulator without waits, whose worker knows all that is below."""
    with (
        Emulator(skip_time=True, max_payload_bytes=20_000) as emulator,
        program_of(emulator, *functions_of(__name__)) as client,
    ):
        yield client


Replayed = Callable[[History, Callable[..., Any]], ReplayResult]


@pytest.fixture(scope="module")
def replayed() -> Iterator[Replayed]:
    """Give a function that replays a history on code that need not be what it is of."""
    with Replayer() as replayer, worker_of(replayer, *functions_of(__name__)):
        yield lambda history, code: replayer.replay(renamed(history, code.__name__))


def ended(client: TaskHubGrpcClient, instance_id: str) -> History:
    end_of(client, instance_id)
    return client.get_orchestration_history(instance_id)


def code_of(history: History) -> list[str]:
    return [type(event).__name__.removesuffix("Event") for event in history]


def events_of(client: TaskHubGrpcClient, instance_id: str) -> int:
    return code_of(client.get_orchestration_history(instance_id)).count("EventRaised")


# Timers


def patient(ctx: Context, _: Any) -> Steps:
    yield ctx.create_timer(timedelta(days=10))
    return (yield ctx.call_activity("echo", input="done"))


@contextmanager
def worker_with_longest_timer(scheduler: Emulator | Replayer, days: int) -> Iterator[None]:
    """Run a worker that splits timers, as those for other backends do."""
    with TaskHubGrpcWorker(
        host_address=scheduler.endpoint.removeprefix("http://"),
        metadata=[("taskhub", "default")],
        maximum_timer_interval=timedelta(days=days),
        logger=quiet,
    ) as worker:
        worker.add_orchestrator(patient)
        worker.add_activity(parts.echo)
        worker.start()
        yield


def test_a_timer_that_its_worker_has_split_is_replayed_in_its_parts() -> None:
    with (
        Emulator(skip_time=True) as emulator,
        worker_with_longest_timer(emulator, 3),
        new_client(emulator) as client,
    ):
        history = ended(client, client.schedule_new_orchestration(patient))
    assert code_of(history).count("TimerFired") == 4
    with Replayer() as replayer, worker_with_longest_timer(replayer, 3):
        assert replayer.replay(history).ok
    with Replayer() as replayer, worker_with_longest_timer(replayer, 4):
        assert "turn 1, step 1\n  recorded: timer until " in str(replayer.replay(history))


# Events and suspensions


def gated(ctx: Context, _: Any) -> Steps:
    first = yield ctx.wait_for_external_event("first")
    second = yield ctx.wait_for_external_event("second")
    return (yield ctx.call_activity("echo", input=[first, second]))


def gated_otherwise(ctx: Context, _: Any) -> Steps:
    second = yield ctx.wait_for_external_event("second")
    return (yield ctx.call_activity("echo", input=[second]))


def test_events_that_came_before_they_were_awaited_are_replayed(
    client: TaskHubGrpcClient, replayed: Replayed
) -> None:
    instance_id = client.schedule_new_orchestration(gated)
    client.raise_orchestration_event(instance_id, "second", data=2)
    client.raise_orchestration_event(instance_id, "first", data=1)
    history = ended(client, instance_id)
    assert replayed(history, gated).ok
    assert "now:      activity echo([2])" in str(replayed(history, gated_otherwise))


def test_a_suspended_instance_is_replayed_and_so_is_a_resumed_one(
    client: TaskHubGrpcClient, replayed: Replayed
) -> None:
    instance_id = client.schedule_new_orchestration(gated)
    wait_until(lambda: is_running(client, instance_id), "it runs")
    client.suspend_orchestration(instance_id)
    wait_for_status(client, instance_id, SUSPENDED)
    client.raise_orchestration_event(instance_id, "first", data=1)
    client.raise_orchestration_event(instance_id, "second", data=2)
    wait_until(lambda: events_of(client, instance_id) == 2, "the history has the events")
    suspended = client.get_orchestration_history(instance_id)
    client.resume_orchestration(instance_id)
    resumed = ended(client, instance_id)
    for one in (suspended, resumed):
        assert replayed(one, gated).ok
    assert replayed(suspended, gated_otherwise).ok
    assert not replayed(resumed, gated_otherwise).ok


# Ends


def early(ctx: Context, _: Any) -> Steps:
    return "early"
    yield


def test_of_a_terminated_instance_what_comes_before_is_compared(
    client: TaskHubGrpcClient, replayed: Replayed
) -> None:
    instance_id = client.schedule_new_orchestration(gated)
    wait_until(lambda: is_running(client, instance_id), "it runs")
    client.raise_orchestration_event(instance_id, "first", data=1)
    wait_until(lambda: events_of(client, instance_id) == 1, "the event is taken")
    client.terminate_orchestration(instance_id, output="enough")
    history = ended(client, instance_id)
    assert replayed(history, gated).ok
    assert replayed(history, gated_otherwise).ok
    assert "now:      end: completed" in str(replayed(history, early))


def at_work(ctx: Context, _: Any) -> Steps:
    yield ctx.call_activity("echo", input=1)
    yield ctx.wait_for_external_event("never")


def at_other_work(ctx: Context, _: Any) -> Steps:
    yield ctx.call_activity("echo", input=2)


def test_a_terminated_instance_is_compared_up_to_its_last_step(
    client: TaskHubGrpcClient, replayed: Replayed
) -> None:
    instance_id = client.schedule_new_orchestration(at_work)
    wait_until(lambda: is_running(client, instance_id), "it runs")
    client.terminate_orchestration(instance_id)
    history = ended(client, instance_id)
    assert replayed(history, at_work).ok
    assert "recorded: activity echo(1)" in str(replayed(history, at_other_work))


def failing(ctx: Context, _: Any) -> Steps:
    value = yield ctx.call_activity("echo", input=1)
    raise parts.Rejected(f"{value} is wrong")


def failing_otherwise(ctx: Context, _: Any) -> Steps:
    value = yield ctx.call_activity("echo", input=1)
    raise parts.Rejected(f"{value} is worse")


def test_a_failure_is_compared_by_its_type_and_message(
    client: TaskHubGrpcClient, replayed: Replayed
) -> None:
    history = ended(client, client.schedule_new_orchestration(failing))
    assert replayed(history, failing).ok
    result = replayed(history, failing_otherwise)
    assert "recorded: end: failed with Rejected: 1 is wrong" in str(result)
    assert "now:      end: failed with Rejected: 1 is worse" in str(result)


def too_large(ctx: Context, _: Any) -> Steps:
    yield ctx.call_activity("echo", input="small")
    yield ctx.call_activity("echo", input="x" * 30_000)


def bad_child(ctx: Context, _: Any) -> Steps:
    yield ctx.call_activity("echo", input="small")
    yield ctx.call_sub_orchestrator("echo", instance_id="x" * 200)


def small(ctx: Context, _: Any) -> Steps:
    yield ctx.call_activity("echo", input="small")
    yield ctx.call_activity("echo", input="also small")


def other_start(ctx: Context, _: Any) -> Steps:
    yield ctx.call_activity("echo", input="smaller")


@pytest.mark.parametrize(
    ("code", "error"), [(too_large, "PayloadTooLarge"), (bad_child, "InvalidRequest")]
)
def test_a_failure_of_the_schedulers_own_says_nothing_about_the_code(
    client: TaskHubGrpcClient, replayed: Replayed, code: Callable[..., Any], error: str
) -> None:
    instance_id = client.schedule_new_orchestration(code)
    state = end_of(client, instance_id)
    assert state.failure_details is not None
    assert state.failure_details.error_type == error
    history = client.get_orchestration_history(instance_id)
    assert replayed(history, code).ok
    assert replayed(history, small).ok
    assert "step 1\n" in str(replayed(history, other_start))


def test_a_history_that_ended_because_code_did_not_fit_is_compared_up_to_there(
    client: TaskHubGrpcClient, replayed: Replayed
) -> None:
    history = turns_until(ended(client, client.schedule_new_orchestration(small)), 2)
    turn = [event for event in history if isinstance(event, h.OrchestratorStartedEvent)][-1]
    failure = task.FailureDetails("a step is missing", "durabletask.task.NonDeterminismError", None)
    end = h.ExecutionCompletedEvent(-1, turn.timestamp, 3, failure_details=failure)
    history += [turn, end]
    assert replayed(history, small).ok
    assert not replayed(history, other_start).ok


# Rewound instances


def broken_once(_: Any, key: str) -> str:
    return parts.fail_once(_, key)


def two_steps(ctx: Context, key: str) -> Steps:
    before: Any = ctx.call_activity("echo", input="kept")
    first = yield ctx.call_activity("broken_once", input=key)
    second = yield ctx.call_activity("echo", input=first)
    return [(yield before), second]


def one_more_step(ctx: Context, key: str) -> Steps:
    before: Any = ctx.call_activity("echo", input="kept")
    first = yield ctx.call_activity("broken_once", input=key)
    ctx.call_activity("echo", input="more")
    second = yield ctx.call_activity("echo", input=first)
    return [(yield before), second]


def other_kept_step(ctx: Context, key: str) -> Steps:
    before: Any = ctx.call_activity("echo", input="other")
    first = yield ctx.call_activity("broken_once", input=key)
    second = yield ctx.call_activity("echo", input=first)
    return [(yield before), second]


def other_failed_step(ctx: Context, key: str) -> Steps:
    before: Any = ctx.call_activity("echo", input="kept")
    first = yield ctx.call_activity("broken_once", input=key.upper())
    second = yield ctx.call_activity("echo", input=first)
    return [(yield before), second]


def test_a_rewound_instance_is_replayed_with_its_failed_step_in_the_later_turn(
    client: TaskHubGrpcClient, replayed: Replayed
) -> None:
    instance_id = client.schedule_new_orchestration(two_steps, input="replay-rewound")
    assert end_of(client, instance_id).runtime_status is OrchestrationStatus.FAILED
    failed = client.get_orchestration_history(instance_id)
    client.rewind_orchestration(instance_id, reason="again")
    history = ended(client, instance_id)
    assert "ExecutionRewound" in code_of(history)
    for one in (failed, history):
        assert str(replayed(one, two_steps)) == f"ok {instance_id}"
    assert 'now:      activity echo("more")' in str(replayed(history, one_more_step))
    assert 'recorded: activity echo("kept")' in str(replayed(history, other_kept_step))
    result = str(replayed(history, other_failed_step))
    assert 'now:      activity broken_once("REPLAY-REWOUND")' in result


# Executions


def test_only_the_last_execution_of_a_history_is_replayed(
    client: TaskHubGrpcClient, replayed: Replayed
) -> None:
    before = ended(client, client.schedule_new_orchestration(small))
    history = ended(client, client.schedule_new_orchestration(small))
    assert replayed([*before, *history], small).ok


def test_an_instance_that_no_worker_has_begun_fits_any_code(replayed: Replayed) -> None:
    with Emulator() as emulator, new_client(emulator) as client:
        instance_id = client.schedule_new_orchestration("small")
        client.terminate_orchestration(instance_id)
        history = ended(client, instance_id)
    assert code_of(history)[0] == "ExecutionStarted"
    assert replayed(history, small).ok
    with Replayer() as replayer:
        assert replayer.replay([], name="nothing").ok


# Children that are tried again


def broken_child(ctx: Context, key: str) -> Steps:
    return (yield ctx.call_activity("broken_once", input=key))


def stubborn(ctx: Context, key: str) -> Steps:
    return (yield ctx.call_sub_orchestrator("broken_child", input=key, retry_policy=parts.RETRIES))


def test_a_sub_orchestration_that_was_tried_again_is_replayed(
    client: TaskHubGrpcClient, replayed: Replayed
) -> None:
    instance_id = client.schedule_new_orchestration(stubborn, input="replay-child")
    history = ended(client, instance_id)
    assert code_of(history).count("SubOrchestrationInstanceCreated") == 2
    assert replayed(history, stubborn).ok


def hurried(ctx: Context, count: int) -> Steps:
    numbers: list[Any] = [ctx.call_activity("echo", input=n) for n in range(count)]
    return len((yield task.when_all(numbers)))


def test_a_history_of_a_thousand_steps_takes_less_than_two_seconds_of_work(
    client: TaskHubGrpcClient,
) -> None:
    history = ended(client, client.schedule_new_orchestration(hurried, input=1000))
    with Replayer() as replayer, worker_of(replayer, hurried):
        replayer.replay(history)  # Connected, and warm.
        begun = time.process_time()
        assert replayer.replay(history).ok
        assert time.process_time() - begun < 2
