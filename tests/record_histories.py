"""Records the histories in tests/histories: `python -m tests.record_histories`.

Run it after a change that is meant not to fit earlier runs.
"""

from __future__ import annotations

from typing import Any

from dts_emulator import Emulator
from dts_emulator.engine.history_json import history_json
from tests.processes import PROJECT
from tests.sample import FAN_OUT, LARGE, sample_worker

FOLDER = PROJECT / "tests" / "histories"

# This item fails at the first attempt in the run that is recorded with a retry.
FAILING_ITEM = 103


def record() -> None:
    """Run the sample on an emulator, and write the histories of its runs."""
    attempts: list[int] = []

    def process_work_item(_: Any, item: int) -> dict[str, int]:
        attempts.append(item)
        if item == FAILING_ITEM and attempts.count(item) == 1:
            raise RuntimeError("the first attempt fails")
        return {"item": item, "result": item * item}

    with Emulator() as emulator, sample_worker(emulator.endpoint) as sample:
        sample.replaced["process_work_item"] = process_work_item
        schedule = sample.client.schedule_new_orchestration
        schedule(FAN_OUT, input=[*range(1, 11)], instance_id="ten_items")
        schedule(FAN_OUT, input=[101, 102, FAILING_ITEM], instance_id="retried_item")
        work = {"parts": [[1, 2, 3], [4, 5, 6]], "more": 1}
        schedule(LARGE, input=work, instance_id="large_run")
        sample.client.raise_orchestration_event("large_run", "parts-0", data=[[7]])
        for instance_id in ("ten_items", "retried_item", "large_run"):
            assert sample.client.wait_for_orchestration_completion(instance_id, timeout=60)
            save(emulator, instance_id, instance_id)
        save(emulator, "large_run:0002", "large_run_part")


def save(emulator: Emulator, instance_id: str, file: str) -> None:
    """Write the history of an instance to a file."""
    hub = emulator.hubs["default"]
    with hub.lock:
        instance = hub.store.instance(instance_id)
        assert instance is not None, instance_id
        # Stack traces name files: in the project, not on this machine.
        text = history_json(instance.history).replace(f"{PROJECT}/", "")
    (FOLDER / f"{file}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    record()
