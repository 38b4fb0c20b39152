"""What the progress bar counts in a history."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from durabletask import history

from progress import count_items

NOW = datetime.now(timezone.utc)


def started(work_items: str | None) -> history.HistoryEvent:
    return history.ExecutionStartedEvent(-1, NOW, name="orchestrator", input=work_items)


def scheduled(event_id: int, name: str = "process_work_item") -> history.HistoryEvent:
    return history.TaskScheduledEvent(event_id, NOW, name=name)


def completed(task_id: int) -> history.HistoryEvent:
    return history.TaskCompletedEvent(-1, NOW, task_scheduled_id=task_id)


def part_completed(result: str | None) -> history.HistoryEvent:
    return history.SubOrchestrationInstanceCompletedEvent(
        -1, NOW, task_scheduled_id=1, result=result
    )


@pytest.mark.parametrize(
    ("events", "counted"),
    [
        ([], (0, None)),
        ([started("[1, 2, 3]")], (0, 3)),
        ([started('{"first": 1, "last": 5000}')], (0, 5000)),
        ([started(None)], (0, None)),
        ([started('"something else"')], (0, None)),
        ([started("[1, 2]"), scheduled(1), scheduled(2), completed(2)], (1, 2)),
        ([started("[1]"), scheduled(1), completed(1), scheduled(2, "aggregate_results")], (1, 1)),
        (
            [started("[1]"), scheduled(1), completed(1), scheduled(2, "other"), completed(2)],
            (1, 1),
        ),
        ([started("[]"), part_completed('{"total_items": 40}'), part_completed(None)], (40, 0)),
    ],
)
def test_finished_items_and_all_items_are_counted(
    events: list[history.HistoryEvent], counted: tuple[int, int | None]
) -> None:
    assert count_items(events) == counted
