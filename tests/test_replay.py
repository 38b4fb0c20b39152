"""The sample's code fits the runs in tests/histories: a worker with it resumes runs in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

import worker as sample
from hosting.scheduler import Scheduler
from large_fan_out import large_fan_out_orchestrator
from tests.processes import PROJECT

if TYPE_CHECKING:
    from dts_emulator import Replayer

FOLDER = PROJECT / "tests" / "histories"
HISTORIES = sorted(path.stem for path in FOLDER.glob("*.json"))


@contextmanager
def replaying(*orchestrators: Callable[..., Any]) -> Iterator[Replayer]:
    """Give a replayer with a worker that knows these orchestrators."""
    dts_emulator = pytest.importorskip("dts_emulator", reason="there is no emulator/")
    with (
        dts_emulator.Replayer() as replayer,
        DurableTaskSchedulerWorker(**Scheduler(replayer.endpoint).connection()) as worker,
    ):
        for orchestrator in orchestrators:
            worker.add_orchestrator(orchestrator)
        worker.start()
        yield replayer


def test_the_code_fits_recorded_runs() -> None:
    with replaying(sample.fan_out_fan_in_orchestrator, large_fan_out_orchestrator) as replayer:
        for name in HISTORIES:
            result = replayer.replay(FOLDER / f"{name}.json")
            assert result.ok, (
                f"{result}\nRuns in flight would fail: see docs/orchestrators.md. If there are "
                "none, record new histories: python -m tests.record_histories"
            )
    assert len(HISTORIES) == 4


def fan_out_fan_in_orchestrator(ctx: task.OrchestrationContext, work_items: list[int]) -> Any:
    """Do what the sample does, with another name for the last activity."""
    tasks: list[Any] = [
        ctx.call_activity("process_work_item", input=item, retry_policy=sample.ITEM_RETRIES)
        for item in work_items
    ]
    results = yield task.when_all(tasks)
    return (yield ctx.call_activity("summarise", input=results))


def test_a_renamed_activity_does_not_fit() -> None:
    with replaying(fan_out_fan_in_orchestrator) as replayer:
        result = replayer.replay(FOLDER / "ten_items.json")
    assert not result.ok
    assert "step 11\n  recorded: activity aggregate_results([" in str(result)
