"""Records the histories in tests/histories: `python -m tests.record_histories`.

Run it after a change that is meant not to fit earlier runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

import worker as sample
from dts_emulator import Emulator
from dts_emulator.engine.history_json import history_json
from large_fan_out import large_fan_out_orchestrator

FOLDER = Path(__file__).parent / "histories"

ORCHESTRATORS = (sample.fan_out_fan_in_orchestrator, large_fan_out_orchestrator)
ACTIVITIES = (sample.aggregate_results, sample.combine_aggregates)

# This item fails at the first attempt in the run that is recorded with a retry.
FAILING_ITEM = 103


def connection(scheduler: Any) -> dict[str, Any]:
    """Return what a worker or client needs to connect to an emulator or a replayer."""
    return {
        "host_address": scheduler.endpoint,
        "taskhub": "default",
        "token_credential": None,
        "secure_channel": False,
    }


def record() -> None:
    """Run the sample on an emulator, and write the histories of its runs."""
    attempts: list[int] = []

    def process_work_item(_: Any, item: int) -> dict[str, int]:
        attempts.append(item)
        if item == FAILING_ITEM and attempts.count(item) == 1:
            raise RuntimeError("the first attempt fails")
        return {"item": item, "result": item * item}

    with (
        Emulator() as emulator,
        DurableTaskSchedulerWorker(**connection(emulator)) as worker,
        DurableTaskSchedulerClient(**connection(emulator)) as client,
    ):
        for orchestrator in ORCHESTRATORS:
            worker.add_orchestrator(orchestrator)
        for activity in (process_work_item, *ACTIVITIES):
            worker.add_activity(activity)
        worker.start()
        name = "fan_out_fan_in_orchestrator"
        client.schedule_new_orchestration(name, input=[*range(1, 11)], instance_id="ten_items")
        retried = [101, 102, FAILING_ITEM]
        client.schedule_new_orchestration(name, input=retried, instance_id="retried_item")
        client.schedule_new_orchestration(
            "large_fan_out_orchestrator",
            input={"parts": [[1, 2, 3], [4, 5, 6]], "more": 1},
            instance_id="large_run",
        )
        client.raise_orchestration_event("large_run", "parts-0", data=[[7]])
        for instance_id in ("ten_items", "retried_item", "large_run"):
            assert client.wait_for_orchestration_completion(instance_id, timeout=60)
        save(emulator, "ten_items", "retried_item", "large_run")
        save(emulator, "large_run:0002", file="large_run_part")


def save(emulator: Emulator, *instance_ids: str, file: str | None = None) -> None:
    """Write the histories of instances as files of their own."""
    hub = emulator.hubs["default"]
    for instance_id in instance_ids:
        with hub.lock:
            instance = hub.store.instance(instance_id)
            assert instance is not None, instance_id
            text = history_json(instance.history)
        (FOLDER / f"{file or instance_id}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    record()
