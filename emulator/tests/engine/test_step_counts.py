"""The counts of an instance's activities: the same, however often one looks while they grow."""

from __future__ import annotations

from collections import Counter
from itertools import takewhile

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from dts_emulator.engine.events import event, is_task_result
from dts_emulator.engine.model import StepCounts
from dts_emulator.engine.step_counts import StepCounter, Steps

STEPS = ["resize", "upload"]


def asked(number: int) -> pb.HistoryEvent:
    step = pb.TaskScheduledEvent(name=STEPS[number % 2])
    return event(number, event_id=number, taskScheduled=step)


def done(number: int) -> pb.HistoryEvent:
    return event(100 + number, taskCompleted=pb.TaskCompletedEvent(taskScheduledId=number))


def failed(number: int) -> pb.HistoryEvent:
    return event(200 + number, taskFailed=pb.TaskFailedEvent(taskScheduledId=number))


def count(history: list[pb.HistoryEvent], looks: list[int]) -> StepCounts:
    counter = StepCounter()
    for look in sorted(looks):
        counter.read(history[:look], [])
    return counter.read(history, [])


def test_steps_are_counted_by_name() -> None:
    counts = count([asked(1), asked(2), asked(3), done(1), failed(2)], [])
    assert counts.asked == Counter(upload=2, resize=1)
    assert (counts.done, counts.failed) == (Counter(upload=1), Counter(resize=1))
    assert (counts.first_at, counts.last_at) == (101, 202)


def test_a_step_that_is_tried_again_counts_once() -> None:
    counts = count([asked(1), failed(1), asked(1), done(1)], [])
    assert (counts.asked, counts.done) == (Counter(upload=1), Counter(upload=1))
    assert not counts.failed.total()


@pytest.mark.parametrize("answer", [done(7), failed(7)])
def test_an_answer_to_what_was_not_asked_for_counts_for_nothing(answer: pb.HistoryEvent) -> None:
    counts = count([asked(1), answer, done(1)], [])
    assert (counts.asked.total(), counts.done.total(), counts.failed.total()) == (1, 1, 0)


def ways(number: int) -> list[list[pb.HistoryEvent]]:
    """Return what may happen to a step."""
    once, again = asked(number), [failed(number), asked(number), done(number)]
    return [[once], [once, done(number)], [once, failed(number)], [once, *again]]


@st.composite
def histories(draw: st.DrawFn) -> list[pb.HistoryEvent]:
    """Draw what may happen to a few steps, in any order; some fail, and are tried again."""
    waiting = [draw(st.sampled_from(ways(number))) for number in range(draw(st.integers(0, 6)))]
    history: list[pb.HistoryEvent] = []
    while waiting := [events for events in waiting if events]:
        chosen = draw(st.sampled_from(range(len(waiting))))
        history.append(waiting[chosen].pop(0))
    return history


@given(histories(), st.lists(st.integers(0, 24)))
def test_it_does_not_matter_how_often_one_looks(
    history: list[pb.HistoryEvent], looks: list[int]
) -> None:
    assert count(history, looks) == count(history, [])


@given(histories(), st.integers(0, 24))
def test_answers_that_are_counted_and_answers_that_are_matched_give_the_same(
    history: list[pb.HistoryEvent], look: int
) -> None:
    taken, arrived = history[:look], list(takewhile(is_task_result, history[look:]))
    matched = Steps()
    matched.read(taken)
    counted, expected = StepCounter().read(taken, arrived), matched.counts(arrived)
    assert (counted.asked, counted.done, counted.failed) == (
        expected.asked,
        expected.done,
        expected.failed,
    )
