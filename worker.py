"""The sample's worker: fans a list of work items out to activities and aggregates the results."""

import hosting.interrupts  # noqa: F401  First: Ctrl-C then ends the other imports quietly.

import logging
import random
import sys
import time
from collections.abc import Generator, Sequence
from datetime import timedelta
from typing import Any

from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.worker import ConcurrencyOptions

from hosting.activities import register
from hosting.arguments import Parser, whole_number
from hosting.program import start
from hosting.sdk_log import sdk_logger
from hosting.workers import RECONNECTING, run_worker
from large_fan_out import large_fan_out_orchestrator
from scheduler import Scheduler

logger = logging.getLogger("worker")

MIN_WORK_SECONDS = 0.5
MAX_WORK_SECONDS = 2.0

ITEM_RETRIES = task.RetryPolicy(
    first_retry_interval=timedelta(seconds=1), backoff_coefficient=2, max_number_of_attempts=3
)


def fan_out_fan_in_orchestrator(
    ctx: task.OrchestrationContext, work_items: list[Any]
) -> Generator[task.Task[Any], Any, Any]:
    """Process all items in parallel and return the aggregate of their results."""
    log = ctx.create_replay_safe_logger(logger)
    log.info(f"Starting fan out/fan in orchestration with {len(work_items)} items")

    # Fan out: Create a task for each work item
    parallel_tasks: list[task.Task[Any]] = []
    for item in work_items:
        parallel_tasks.append(
            ctx.call_activity("process_work_item", input=item, retry_policy=ITEM_RETRIES)
        )

    # Wait for all tasks to complete. Without any, when_all would wait for ever
    log.info(f"Waiting for {len(parallel_tasks)} parallel tasks to complete")
    results = (yield task.when_all(parallel_tasks)) if parallel_tasks else []

    # Fan in: Aggregate all the results
    log.info("All parallel tasks completed, aggregating results")
    final_result = yield ctx.call_activity("aggregate_results", input=results)

    return final_result


def process_work_item(_: task.ActivityContext, item: int) -> dict[str, int]:
    """Square the item. The delay stands for real work: replace this body by your own."""
    logger.info(f"Processing work item: {item}")
    time.sleep(random.uniform(MIN_WORK_SECONDS, MAX_WORK_SECONDS))
    return {"item": item, "result": item * item}


def aggregate_results(_: task.ActivityContext, results: list[dict[str, int]]) -> dict[str, Any]:
    """Return how many results there are, their sum and their average (0 for none)."""
    logger.info(f"Aggregating results from {len(results)} items")
    count, total = len(results), sum(result["result"] for result in results)
    return {"total_items": count, "sum": total, "average": total / count if count else 0}


def combine_aggregates(_: task.ActivityContext, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the aggregate of all items from those of their parts: see large_fan_out.py."""
    count, total = (sum(part[key] for part in parts) for key in ("total_items", "sum"))
    return {"total_items": count, "sum": total, "average": total / count if count else 0}


def create_worker(target: Scheduler, concurrency: int) -> DurableTaskSchedulerWorker:
    """Return a worker that knows the orchestrators and the activities, ready to start."""
    turns = min(concurrency, 100)
    worker = DurableTaskSchedulerWorker(
        **target.connection(),
        # Each activity and each turn of an orchestrator takes a thread of one pool. By default it
        # has CPU + 4, whatever the limits say: 1,000 items of 2 s would take minutes, not 3 s.
        concurrency_options=ConcurrencyOptions(
            maximum_concurrent_activity_work_items=concurrency,
            maximum_concurrent_orchestration_work_items=turns,
            maximum_thread_pool_workers=concurrency + turns,
        ),
        resiliency_options=RECONNECTING,
        logger=sdk_logger(target),
    )
    register(
        worker,
        logger,
        [fan_out_fan_in_orchestrator, large_fan_out_orchestrator],
        [process_work_item, aggregate_results, combine_aggregates],
    )
    return worker


def main(argv: Sequence[str] | None = None) -> int:
    """Run the worker until SIGINT or SIGTERM; return its exit status, see run_worker."""
    start("worker", many_threads=True)
    parser = Parser(description="Process the work items of orchestrations.")
    what = "how many work items are processed at once (default 1000)"
    parser.add_argument(
        "--concurrency", type=whole_number(1, 10_000), default=1000, metavar="N", help=what
    )
    concurrency: int = parser.parse_args(argv).concurrency
    logger.info("Starting Fan Out/Fan In pattern worker...")
    return run_worker(logger, lambda target: create_worker(target, concurrency))


if __name__ == "__main__":
    sys.exit(main())
