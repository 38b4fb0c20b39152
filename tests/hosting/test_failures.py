"""Which activity, with which item, made an orchestration fail."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from durabletask import history
from durabletask.task import FailureDetails

from hosting.failures import MAX_SHOWN, Culprit, Events, culprit, in_words, innermost, shortened

NOW = datetime.now(timezone.utc)
CAUSE = FailureDetails("no such item", "builtins.ValueError", "File ...")
OTHER = FailureDetails("boom", "mine.Problem", None)


def begun(number: int, item: str | None) -> history.HistoryEvent:
    return history.TaskScheduledEvent(number, NOW, name="work", input=item)


def failed(number: int, failure: FailureDetails) -> history.HistoryEvent:
    return history.TaskFailedEvent(
        -1, NOW, task_scheduled_id=number, failure_details=wrapped(failure)
    )


def wrapped(failure: FailureDetails) -> FailureDetails:
    return FailureDetails("a task failed", "durabletask.task.TaskFailedError", None, failure)


def done(number: int) -> history.HistoryEvent:
    return history.TaskCompletedEvent(-1, NOW, task_scheduled_id=number)


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([], None),
        ([begun(1, "7"), failed(1, CAUSE)], Culprit("work", "7", "me")),
        ([begun(1, None), failed(1, CAUSE)], Culprit("work", "null", "me")),
        (
            [begun(1, "7"), begun(2, "8"), failed(1, OTHER), failed(2, CAUSE)],
            Culprit("work", "8", "me"),
        ),
        (
            [begun(1, "7"), failed(1, CAUSE), begun(1, "7"), done(1), begun(2, "8"), done(2)],
            None,
        ),
        ([begun(1, "7"), failed(1, OTHER)], Culprit("work", "7", "me")),
    ],
    ids=["none", "one", "no item", "by its error", "succeeded later", "another error"],
)
def test_the_step_that_failed_for_good_is_found(
    events: list[history.HistoryEvent], found: Culprit | None
) -> None:
    assert culprit(lambda _: events, "me", CAUSE) == found


def test_a_failure_is_followed_into_sub_orchestrations() -> None:
    histories: dict[str, Events] = {
        "me": [
            history.SubOrchestrationInstanceCreatedEvent(1, NOW, instance_id="child", name="part"),
            history.SubOrchestrationInstanceFailedEvent(
                -1, NOW, task_scheduled_id=1, failure_details=wrapped(CAUSE)
            ),
        ],
        "child": [begun(3, '"red"'), failed(3, CAUSE)],
    }
    assert culprit(histories.__getitem__, "me", CAUSE) == Culprit("work", '"red"', "child")


def test_the_cause_of_all_is_the_innermost() -> None:
    assert innermost(wrapped(wrapped(CAUSE))) is CAUSE


@pytest.mark.parametrize(
    ("failure", "words"), [(CAUSE, "ValueError: no such item"), (OTHER, "mine.Problem: boom")]
)
def test_an_error_reads_as_in_python(failure: FailureDetails, words: str) -> None:
    assert in_words(failure) == words


def test_a_long_item_is_shown_as_far_as_a_line_can() -> None:
    assert shortened("x" * MAX_SHOWN) == "x" * MAX_SHOWN
    assert len(shortened("x" * (MAX_SHOWN + 1))) == MAX_SHOWN
