"""The worker of the fan-out/fan-in quickstart: one orchestrator and its activities."""

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

from hosting.scheduler import Scheduler
from hosting.workers import guarded, start_program, usage_errors, wait_for_signal, worker_options
from large_fan_out import combine_aggregates, large_fan_out_orchestrator

logger = logging.getLogger("worker")

# A failing item is tried three times, with pauses of 1 and 2 seconds.
ITEM_RETRIES = task.RetryPolicy(
    first_retry_interval=timedelta(seconds=1), backoff_coefficient=2, max_number_of_attempts=3
)


def process_work_item(_: task.ActivityContext, item: int) -> dict[str, int]:
    """Return the square of the item. The pause stands for real work: put yours here."""
    logger.info(f"Processing work item: {item}")
    time.sleep(random.uniform(0.5, 2.0))
    return {"item": item, "result": item * item}


def aggregate_results(_: task.ActivityContext, results: list[dict[str, int]]) -> dict[str, Any]:
    """Return the number of results, their sum and their average (0 if there are none)."""
    logger.info(f"Aggregating results from {len(results)} items")
    count, total = len(results), sum(result["result"] for result in results)
    return {"total_items": count, "sum": total, "average": total / count if count else 0}


# Orchestrator function. Each time a task completes, the SDK runs it again from its first line
# (replay): `yield` returns the recorded result of a task, or ends this run if there is none yet.
def fan_out_fan_in_orchestrator(
    ctx: task.OrchestrationContext, work_items: list[Any]
) -> Generator[task.Task[Any], Any, Any]:
    """Process all items in parallel and return the aggregate of their results."""
    log = ctx.create_replay_safe_logger(logger)  # silent during replay: each line appears once
    log.info(f"Starting fan out/fan in orchestration with {len(work_items)} items")

    # Fan out: Create a task for each work item
    parallel_tasks: list[task.Task[Any]] = []
    for item in work_items:
        parallel_tasks.append(
            ctx.call_activity("process_work_item", input=item, retry_policy=ITEM_RETRIES)
        )

    # Wait for all tasks to complete. when_all never completes if there are none
    log.info(f"Waiting for {len(parallel_tasks)} parallel tasks to complete")
    results = (yield task.when_all(parallel_tasks)) if parallel_tasks else []

    # Fan in: Aggregate all the results
    log.info("All parallel tasks completed, aggregating results")
    final_result = yield ctx.call_activity("aggregate_results", input=results)
    return final_result


@usage_errors()
def main(argv: Sequence[str] | None = None) -> int:
    """Process work items until SIGINT or SIGTERM, then finish those in progress; return 0."""
    concurrency = start_program(argv).concurrency
    logger.info("Starting Fan Out/Fan In pattern worker...")
    scheduler = Scheduler.from_environment()
    logger.info(f"Using taskhub: {scheduler.task_hub}")
    logger.info(f"Using endpoint: {scheduler.endpoint}")
    with DurableTaskSchedulerWorker(
        **scheduler.connection(),  # endpoint, task hub and credential
        **worker_options(scheduler),
        # Activities and orchestrators share one pool of threads. By default it has CPU + 4,
        # whatever the limits say: 1,000 items of 2 s would take minutes.
        concurrency_options=ConcurrencyOptions(
            maximum_concurrent_activity_work_items=concurrency,
            maximum_concurrent_orchestration_work_items=100,
            maximum_thread_pool_workers=concurrency + 100,
        ),
    ) as worker:
        # Register; guarded() reports every error, even sys.exit(), as a failure of its item
        worker.add_orchestrator(guarded(fan_out_fan_in_orchestrator))
        worker.add_orchestrator(guarded(large_fan_out_orchestrator))
        worker.add_activity(guarded(process_work_item))
        worker.add_activity(guarded(aggregate_results))
        worker.add_activity(guarded(combine_aggregates))
        worker.use_work_item_filters()  # take only work that is registered here
        worker.start()
        wait_for_signal()
    logger.info("Worker stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
