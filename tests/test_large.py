"""More items than one orchestration should hold: parts, and the way they get there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.client import OrchestrationStatus
from scheduler import Scheduler

import large_fan_out
import worker
from dts_emulator import Emulator
from dts_emulator.hub.limits import MAX_PAYLOAD_BYTES
from hosting import inputs
from large_fan_out import fits_one_orchestration, schedule_large_fan_out
from tests.conftest import Run
from tests.processes import PATIENCE_SECONDS

COUNT = 2000
OUTPUT = {
    "total_items": COUNT,
    "sum": sum(n * n for n in range(1, COUNT + 1)),
    "average": sum(n * n for n in range(1, COUNT + 1)) / COUNT,
}


class Recorder:
    """A client that notes what it is asked to do, and may fail at an event."""

    def __init__(self, fails: BaseException | None = None) -> None:
        self.inputs: list[Any] = []
        self.events: dict[str, Any] = {}
        self.terminated: list[str] = []
        self._fails = fails

    def schedule_new_orchestration(self, orchestrator: str, **arguments: Any) -> str:
        self.inputs.append(arguments["input"])
        return "id"

    def raise_orchestration_event(self, instance_id: str, event_name: str, *, data: Any) -> None:
        if self._fails:
            raise self._fails
        self.events[event_name] = data

    def terminate_orchestration(self, instance_id: str, *, output: Any) -> None:
        self.terminated.append(instance_id)


def schedule(client: Recorder, work_items: list[Any]) -> None:
    schedule_large_fan_out(client, work_items)  # type: ignore[arg-type]


def test_a_thousand_numbers_fit_one_orchestration_and_one_more_does_not() -> None:
    assert fits_one_orchestration([])
    assert fits_one_orchestration(list(range(1000)))
    assert not fits_one_orchestration(list(range(1001)))


def test_few_items_that_are_too_large_together_do_not_fit_one_orchestration() -> None:
    assert not fits_one_orchestration(["x" * 10_000] * 100)


def test_a_hundred_thousand_numbers_are_one_input() -> None:
    client = Recorder()
    schedule(client, list(range(1, 100_001)))
    (handed_over,) = client.inputs
    assert handed_over["more"] == 0
    assert [len(part) for part in handed_over["parts"]] == [1000] * 100
    assert len(json.dumps(handed_over)) < MAX_PAYLOAD_BYTES


@pytest.mark.parametrize("text", ["item number {}", "x" * 2000 + "{}"], ids=["short", "long"])
def test_any_items_are_handed_over_in_pieces_that_a_scheduler_takes(text: str) -> None:
    work_items = [text.format(number) for number in range(10_000)]
    client = Recorder()
    schedule(client, work_items * (10 if len(text) < 100 else 1))
    (handed_over,) = client.inputs
    assert handed_over["more"] == len(client.events) > 0
    pieces = [handed_over, *client.events.values()]
    assert max(len(json.dumps(piece)) for piece in pieces) < MAX_PAYLOAD_BYTES
    parts = [part for piece in (handed_over["parts"], *client.events.values()) for part in piece]
    items = [item for part in parts for item in part]
    assert items == work_items * (10 if len(text) < 100 else 1)
    assert max(len(json.dumps(part)) for part in parts) < MAX_PAYLOAD_BYTES
    assert max(map(len, parts)) <= 1000


def test_an_orchestration_whose_items_cannot_be_handed_over_is_terminated() -> None:
    client = Recorder(fails=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        schedule(client, ["x" * 2000] * 2000)
    assert client.terminated == ["id"]


def history_bytes(history: Any) -> int:
    """Return about how many bytes a history has, and with it the largest message."""
    return sum(len(json.dumps(event.to_dict(), default=str)) for event in history)


def test_parts_in_the_input_and_in_events_give_one_result(
    emulator: Emulator, instant_items: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_fan_out, "MAX_FAN_OUT", 100)
    monkeypatch.setattr(inputs, "MAX_INPUT_BYTES", 3000)
    target = Scheduler(endpoint=emulator.endpoint)
    with (
        DurableTaskSchedulerClient(**target.connection()) as client,
        worker.create_worker(target, concurrency=50) as started,
    ):
        # The items are there before any worker is.
        instance_id = schedule_large_fan_out(client, list(range(1, COUNT + 1)))  # type: ignore[arg-type]
        started.start()
        state = client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE_SECONDS)
        assert state is not None
        assert state.runtime_status is OrchestrationStatus.COMPLETED
        assert state.get_output() == OUTPUT
        events = client.get_orchestration_history(instance_id)
    raised = [event for event in events if type(event).__name__ == "EventRaisedEvent"]
    assert len(raised) > 1
    assert history_bytes(events) < MAX_PAYLOAD_BYTES / 2


def test_items_that_never_come_fail_the_orchestration_in_words(
    run: Run,
) -> None:
    state = run({"parts": [[1]], "more": 1}, "large_fan_out_orchestrator")
    assert state.runtime_status is OrchestrationStatus.FAILED
    assert state.failure_details is not None
    assert state.failure_details.message == "Not all work items have come from the client."


def test_the_longest_flat_fan_out_stays_far_from_the_limits(run: Run, skipping: Emulator) -> None:
    state = run(list(range(99_001, 100_001)))
    target = Scheduler(endpoint=skipping.endpoint)
    with DurableTaskSchedulerClient(**target.connection()) as client:
        events = client.get_orchestration_history(state.instance_id)
    assert len(events) > 2000
    assert history_bytes(events) < MAX_PAYLOAD_BYTES
