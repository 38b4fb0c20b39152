"""The worker of the quickstart's C# form: `python -m examples.text_lengths.worker`."""

import hosting.interrupts  # noqa: F401  First: Ctrl-C then ends the other imports quietly.

import logging
import sys
from collections.abc import Generator
from typing import Any

from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

from hosting.activities import Function, register
from hosting.program import start
from hosting.sdk_log import sdk_logger
from hosting.workers import RECONNECTING, run_worker
from scheduler import Scheduler

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


def create_worker(target: Scheduler) -> DurableTaskSchedulerWorker:
    """Return a worker that knows the orchestration and its activities, ready to start."""
    worker = DurableTaskSchedulerWorker(
        **target.connection(), resiliency_options=RECONNECTING, logger=sdk_logger(target)
    )
    activities: list[Function] = [ProcessWorkItemActivity, AggregateResultsActivity]
    register(worker, logger, [ParallelProcessingOrchestration], activities)
    return worker


if __name__ == "__main__":
    start("worker", many_threads=True)
    sys.exit(run_worker(logger, create_worker))
