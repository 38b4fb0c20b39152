"""The worker of the quickstart's C# form: `python -m examples.text_lengths.worker`."""

import logging
import sys
from collections.abc import Generator
from typing import Any

from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

from hosting.scheduler import Scheduler
from hosting.workers import guarded, start_program, usage_errors, wait_for_signal, worker_options

logger = logging.getLogger("worker")


def ParallelProcessingOrchestration(
    ctx: task.OrchestrationContext, work_items: list[str]
) -> Generator[task.Task[Any], Any, dict[str, int]]:
    """Fan out to an activity for each item; fan in to one object of item and length."""
    tasks: list[task.Task[Any]] = [
        ctx.call_activity("ProcessWorkItemActivity", input=item) for item in work_items
    ]
    results = (yield task.when_all(tasks)) if tasks else []
    lengths: dict[str, int] = yield ctx.call_activity("AggregateResultsActivity", input=results)
    return lengths


def ProcessWorkItemActivity(_: task.ActivityContext, item: str) -> dict[str, int]:
    """Return the item's length in UTF-16 code units, as C# counts it."""
    logger.info(f"Processing work item: {item}")
    return {item: len(item.encode("utf-16-le", "surrogatepass")) // 2}


def AggregateResultsActivity(
    _: task.ActivityContext, results: list[dict[str, int]]
) -> dict[str, int]:
    """Return one object in the order of the items. Of equal ones, the later result counts."""
    logger.info(f"Aggregating results from {len(results)} items")
    return {item: length for result in results for item, length in result.items()}


@usage_errors()
def main() -> int:
    """Process work items until SIGINT or SIGTERM; return 0."""
    start_program()
    scheduler = Scheduler.from_environment()
    with DurableTaskSchedulerWorker(
        **scheduler.connection(), **worker_options(scheduler)
    ) as worker:
        worker.add_orchestrator(guarded(ParallelProcessingOrchestration))
        worker.add_activity(guarded(ProcessWorkItemActivity))
        worker.add_activity(guarded(AggregateResultsActivity))
        worker.use_work_item_filters()
        worker.start()
        wait_for_signal()
    return 0


if __name__ == "__main__":
    sys.exit(main())
