"""More items than one orchestration should hold: parts, and how they reach the scheduler."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import Mock

import pytest
from durabletask import history
from durabletask.client import OrchestrationStatus

import large_fan_out
from hosting.errors import describe
from large_fan_out import MAX_INPUT_BYTES, fits_one_orchestration, schedule_large_fan_out, split
from tests.processes import PATIENCE_SECONDS
from tests.sample import LARGE, Sample

MAX_PAYLOAD_BYTES = 1_000_000  # the service's limit


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("values", "most", "sizes"),
    [
        ([], 10, [0]),
        (list(range(10)), 10, [10]),
        (list(range(11)), 10, [10, 1]),
        (list(range(25)), 10, [10, 10, 5]),
        (["x" * (MAX_INPUT_BYTES // 3)] * 4, 10, [2, 2]),
        (["x" * 2 * MAX_INPUT_BYTES, "y"], 10, [1, 1]),
        ([None, Point(1), {"nested": [1]}], 2, [2, 1]),
    ],
    ids=["none", "all", "one more", "parts", "by size", "too large", "any JSON"],
)
def test_values_are_divided_by_number_and_by_size(
    values: list[Any], most: int, sizes: list[int]
) -> None:
    pieces = split(values, most)
    assert [len(piece) for piece in pieces] == sizes
    assert [value for piece in pieces for value in piece] == values


@pytest.mark.parametrize("value", ["x" * 100, "ü😀" * 10, ["a" * 20, {"b": None}]])
def test_no_piece_is_larger_than_an_input(value: Any) -> None:
    pieces = split([value] * (2 * MAX_INPUT_BYTES // len(json.dumps(value))), 10**9)
    assert len(pieces) > 1
    assert max(len(json.dumps(piece)) for piece in pieces) <= MAX_INPUT_BYTES + 2


def sent(work_items: list[Any]) -> tuple[Any, list[Any]]:
    """Return the input and the events that a client sends."""
    client = Mock()
    schedule_large_fan_out(client, work_items)
    (scheduled,) = client.schedule_new_orchestration.call_args_list
    return scheduled.kwargs["input"], [
        call.kwargs["data"] for call in client.raise_orchestration_event.call_args_list
    ]


def test_a_thousand_numbers_fit_one_orchestration_and_one_more_does_not() -> None:
    assert fits_one_orchestration([])
    assert fits_one_orchestration(list(range(1000)))
    assert not fits_one_orchestration(list(range(1001)))


def test_few_items_that_are_too_large_together_do_not_fit_one_orchestration() -> None:
    assert not fits_one_orchestration(["x" * 10_000] * 100)


def test_a_hundred_thousand_numbers_are_one_input() -> None:
    work, events = sent(list(range(1, 100_001)))
    assert (work["more"], events) == (0, [])
    assert [len(part) for part in work["parts"]] == [1000] * 100
    assert len(json.dumps(work)) < MAX_PAYLOAD_BYTES


@pytest.mark.parametrize(
    ("text", "number"),
    [("item number {}", 100_000), ("x" * 2000 + "{}", 10_000)],
    ids=["short", "long"],
)
def test_any_items_are_sent_in_pieces_that_a_scheduler_accepts(text: str, number: int) -> None:
    work_items = [text.format(n) for n in range(number)]
    work, events = sent(work_items)
    assert work["more"] == len(events) > 0
    assert max(len(json.dumps(piece)) for piece in (work, *events)) < MAX_PAYLOAD_BYTES
    parts = [part for piece in (work["parts"], *events) for part in piece]
    assert [item for part in parts for item in part] == work_items
    assert max(len(json.dumps(part)) for part in parts) < MAX_PAYLOAD_BYTES
    assert max(map(len, parts)) <= 1000


def test_an_orchestration_whose_items_cannot_be_sent_is_terminated() -> None:
    client = Mock()
    client.schedule_new_orchestration.return_value = "id"
    client.raise_orchestration_event.side_effect = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        schedule_large_fan_out(client, ["x" * 2000] * 2000)
    assert client.terminate_orchestration.call_args.args == ("id",)


def history_bytes(events: Sequence[history.HistoryEvent]) -> int:
    """Return about how many bytes a history has, and with it the largest message."""
    return sum(len(json.dumps(event.to_dict(), default=str)) for event in events)


def test_parts_in_the_input_and_in_events_give_one_result(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_fan_out, "MAX_FAN_OUT", 100)
    monkeypatch.setattr(large_fan_out, "MAX_INPUT_BYTES", 1500)
    instance_id = schedule_large_fan_out(sample.client, range(1, 701))
    state = sample.client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE_SECONDS)
    assert state is not None
    total = sum(n * n for n in range(1, 701))
    assert state.get_output() == {"total_items": 700, "sum": total, "average": total / 700}
    events = sample.client.get_orchestration_history(instance_id)
    raised = [event for event in events if isinstance(event, history.EventRaisedEvent)]
    assert len(raised) > 1


def test_an_orchestration_fails_whose_items_do_not_arrive(sample: Sample) -> None:
    state = sample.run({"parts": [[1]], "more": 1}, LARGE)
    assert state.runtime_status is OrchestrationStatus.FAILED
    assert state.failure_details is not None
    words = "TimeoutError: The client did not send all work items."
    assert describe(state.failure_details) == words


def test_the_longest_flat_fan_out_stays_far_from_the_limits(sample: Sample) -> None:
    state = sample.run(list(range(99_001, 100_001)))
    events = sample.client.get_orchestration_history(state.instance_id)
    assert len(events) > 2000
    assert history_bytes(events) < MAX_PAYLOAD_BYTES
