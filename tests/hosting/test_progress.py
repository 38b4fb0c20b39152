"""What the progress bar counts in the histories of an instance and of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

import pytest
from durabletask import history

from hosting.progress import Counted, Steps, count

NOW = datetime.now(timezone.utc)
TURN = history.OrchestratorStartedEvent(-1, NOW)
END = history.ExecutionCompletedEvent(-1, NOW, orchestration_status=1)


def begun(*ids: int, name: str = "any_name") -> list[history.HistoryEvent]:
    return [history.TaskScheduledEvent(number, NOW, name=name) for number in ids]


def done(*ids: int) -> list[history.HistoryEvent]:
    return [history.TaskCompletedEvent(-1, NOW, task_scheduled_id=number) for number in ids]


def failed(number: int) -> list[history.HistoryEvent]:
    return [history.TaskFailedEvent(-1, NOW, task_scheduled_id=number)]


def part(number: int, instance_id: str) -> history.HistoryEvent:
    return history.SubOrchestrationInstanceCreatedEvent(
        number, NOW, instance_id=instance_id, name="any_orchestrator"
    )


@pytest.mark.parametrize(
    ("events", "counted"),
    [
        ([], (0, 0)),
        ([TURN], (0, 0)),
        ([TURN, *begun(1, 2, 3)], (0, 3)),
        ([TURN, *begun(1, 2, 3), TURN, *done(2, 3)], (2, 3)),
        ([TURN, *begun(1, 2), TURN, *done(1, 2), TURN, *begun(3), TURN, *done(3)], (2, 2)),
        ([TURN, *begun(1), TURN, *done(1), TURN, *begun(2, 3), TURN, *done(2)], (1, 2)),
        ([TURN, *begun(1, 2), TURN, *failed(1), TURN, *begun(1), TURN, *done(1)], (1, 2)),
    ],
    ids=["none", "no step", "begun", "some", "with the fan-in", "after a step", "tried again"],
)
def test_the_parallel_steps_are_counted_whatever_their_name(
    events: list[history.HistoryEvent], counted: tuple[int, int]
) -> None:
    found = count(events)
    assert (found.finished, found.total) == counted


def test_the_steps_of_a_name_are_counted_where_one_is_given() -> None:
    events = [TURN, *begun(1, 2, 3, name="other"), *begun(4, name="mine"), TURN, *done(1, 4)]
    assert count(events, "mine") == Counted(finished=1, total=1)


def test_the_end_of_an_instance_is_seen() -> None:
    assert not count([TURN, *begun(1)]).has_ended
    assert count([TURN, *begun(1), TURN, *done(1), END]).has_ended


class Histories:
    """The histories of a fan-out in parts that go on one after the other."""

    def __init__(self, parts: int, items: int) -> None:
        self._items = range(1, items + 1)
        self.done = {f"part-{number}": 0 for number in range(parts)}
        self.asked: list[str] = []

    def of(self, instance_id: str) -> Sequence[history.HistoryEvent]:
        self.asked.append(instance_id)
        if instance_id == "all":
            return [TURN, *(part(index, name) for index, name in enumerate(self.done, 1))]
        finished = self._items[: self.done[instance_id]]
        events = [TURN, *begun(*self._items), TURN, *done(*finished)]
        return [*events, END] if len(finished) == len(self._items) else events


def test_a_fan_out_in_parts_is_counted_item_by_item() -> None:
    histories = Histories(parts=2, items=10)
    steps = Steps(histories.of, "all")
    steps.look()
    assert (steps.finished, steps.total) == (0, 20)
    histories.done["part-0"] = 3
    steps.look()
    assert (steps.finished, steps.total) == (3, 20)
    histories.done.update({"part-0": 10, "part-1": 1})
    steps.look()
    assert (steps.finished, steps.total) == (11, 20)


def test_only_a_few_histories_are_asked_for_at_a_time_and_the_one_that_moves_each_time() -> None:
    histories = Histories(parts=100, items=10)
    steps = Steps(histories.of, "all")
    steps.look()
    for finished in range(1, 10):
        histories.done["part-0"] = finished
        histories.asked.clear()
        steps.look()
        assert len(histories.asked) <= 5
    for _ in range(30):
        steps.look()
    before = steps.finished
    histories.done["part-0"] = 10
    for _ in range(30):
        steps.look()
    assert (before, steps.finished) == (9, 10)


def test_a_part_that_has_ended_is_not_asked_for_again() -> None:
    histories = Histories(parts=1, items=2)
    histories.done["part-0"] = 2
    steps = Steps(histories.of, "all")
    steps.look()
    histories.asked.clear()
    steps.look()
    assert histories.asked == ["all"]
    assert steps.finished == 2
