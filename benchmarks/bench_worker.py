"""The sample's worker with known delays. `python -m benchmarks.bench_worker KIND`.

KIND: `seeded` (delays from the seeded list), `default` (the same on the SDK's default
concurrency), `instant` (no delays).
"""

from __future__ import annotations

import sys
import time

from durabletask import task
from durabletask.worker import ConcurrencyOptions

import worker
from benchmarks.seeded import delays


def main() -> int:
    """Run the worker until a signal."""
    kind = sys.argv[1]
    seconds = [0.0] * 1000 if kind == "instant" else delays(1000)

    def process_work_item(_: task.ActivityContext, item: int) -> dict[str, int]:
        worker.logger.info(f"Processing work item: {item}")
        time.sleep(seconds[(item - 1) % 1000])
        return {"item": item, "result": item * item}

    worker.process_work_item = process_work_item
    if kind == "default":
        setattr(worker, "ConcurrencyOptions", lambda **_: ConcurrencyOptions())  # noqa: B010
    return worker.main([])


if __name__ == "__main__":
    sys.exit(main())
