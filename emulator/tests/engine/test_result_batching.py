"""When an orchestrator's turn waits for more results to take along."""

from __future__ import annotations

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.model import Instance
from dts_emulator.engine.result_batching import LONG_HISTORY, MAX_DELAY, batching_delay

RESULT = pb.HistoryEvent(taskCompleted=pb.TaskCompletedEvent())
FAILURE = pb.HistoryEvent(taskFailed=pb.TaskFailedEvent())
TERMINATION = pb.HistoryEvent(executionTerminated=pb.ExecutionTerminatedEvent())
SCHEDULED = pb.HistoryEvent(taskScheduled=pb.TaskScheduledEvent())


def waiting(events: int, activities_out: int, newest: pb.HistoryEvent) -> Instance:
    return Instance(
        "id",
        "name",
        "execution",
        created_at=0,
        updated_at=0,
        history=[pb.HistoryEvent()] * events,
        inbox=[newest],
        pending_tasks=dict.fromkeys(range(activities_out), SCHEDULED),
    )


@pytest.mark.parametrize("newest", [RESULT, FAILURE], ids=["completed", "failed"])
def test_a_result_waits_while_others_are_to_come(newest: pb.HistoryEvent) -> None:
    assert 0 < batching_delay(waiting(1000, 5, newest)) <= MAX_DELAY


def test_the_wait_grows_with_the_history() -> None:
    short, long = (batching_delay(waiting(events, 1, RESULT)) for events in (200, 600))
    assert long == pytest.approx(3 * short)


def test_the_wait_has_an_end() -> None:
    assert batching_delay(waiting(10_000_000, 1, RESULT)) == MAX_DELAY


@pytest.mark.parametrize(
    ("events", "activities_out", "newest"),
    [
        pytest.param(1000, 0, RESULT, id="the last result"),
        pytest.param(LONG_HISTORY - 1, 5, RESULT, id="a short history"),
        pytest.param(1000, 5, TERMINATION, id="anything but a result"),
    ],
)
def test_nothing_else_waits(events: int, activities_out: int, newest: pb.HistoryEvent) -> None:
    assert batching_delay(waiting(events, activities_out, newest)) == 0
