"""More items than one orchestration should hold: parts, and parts of parts."""

from __future__ import annotations

import json
from typing import Any

import pytest

import worker
from emulator import Emulator
from emulator.limits import MAX_PAYLOAD_BYTES
from emulator.overview import Overview
from emulator.views import Wanted
from tests.conftest import Run

COUNT = 5000
OUTPUT = {
    "total_items": COUNT,
    "sum": sum(n * n for n in range(1, COUNT + 1)),
    "average": sum(n * n for n in range(1, COUNT + 1)) / COUNT,
}


def size(history: Any) -> int:
    """Return about how many bytes a history has, and with it the largest message."""
    return sum(len(json.dumps(event.to_dict(), default=str)) for event in history)


@pytest.mark.parametrize(
    "work_items",
    [list(range(1, COUNT + 1)), {"first": 1, "last": COUNT}],
    ids=["a list", "a range"],
)
def test_three_levels_of_sub_orchestrations_give_the_same_result_within_all_limits(
    run: Run, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, work_items: Any
) -> None:
    monkeypatch.setattr(worker, "MAX_FAN_OUT", 10)
    assert run(work_items).get_output() == OUTPUT

    hub = Overview(emulator.hubs["default"])
    instances, total = hub.instances(Wanted(top_level=False), limit=10_000)
    assert total == 1 + 10 + 10 * 10 + 10 * 10 * 5
    parents = {instance.instance_id: instance.parent_id for instance in instances}

    def depth(instance_id: str) -> int:
        parent = parents[instance_id]
        return 0 if parent is None else 1 + depth(parent)

    assert max(depth(instance_id) for instance_id in parents) == 3
    details = [hub.instance(instance_id) for instance_id in parents]
    assert max(size(detail.history) for detail in details if detail) < MAX_PAYLOAD_BYTES / 4


def test_the_longest_flat_fan_out_stays_far_from_the_limits(run: Run, emulator: Emulator) -> None:
    state = run(list(range(99_001, 100_001)))
    detail = Overview(emulator.hubs["default"]).instance(state.instance_id)
    assert detail is not None
    assert len(detail.history) > 2000
    assert size(detail.history) < MAX_PAYLOAD_BYTES


def test_a_range_is_passed_on_in_two_numbers() -> None:
    items = worker.unpack({"first": 1, "last": 100_000})
    assert worker.pack(items[5000:6000]) == {"first": 5001, "last": 6000}


def test_any_other_items_are_passed_on_as_they_are() -> None:
    items = worker.unpack(["a", "b", "c"])
    assert worker.pack(items[1:]) == ["b", "c"]
