"""The sample's worker: fans a list of work items out to activities and aggregates the results.

Start it with `python worker.py`, then schedule an orchestration with client.py.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.grpc_options import GrpcWorkerResiliencyOptions
from durabletask.worker import ConcurrencyOptions

import logs
from errors import Explained
from scheduler import ConfigurationError, Scheduler

logger = logging.getLogger("worker")

MIN_WORK_SECONDS = 0.5
MAX_WORK_SECONDS = 2.0

# More items than this are split into sub-orchestrations, so that no history grows too long.
MAX_FAN_OUT = 1000

ITEM_RETRIES = task.RetryPolicy(
    first_retry_interval=timedelta(seconds=1), backoff_coefficient=2, max_number_of_attempts=3
)

Orchestrator = Generator["task.Task[Any]", Any, Any]


# --- What the workflow does ---


def fan_out_fan_in_orchestrator(ctx: task.OrchestrationContext, work_items: Any) -> Orchestrator:
    """Process all items in parallel and return the aggregate of their results.

    `work_items` is a list, or {"first": 1, "last": 100000} for a long range of numbers.
    """
    items = unpack(work_items)
    log = ctx.create_replay_safe_logger(logger)
    log.info(f"Starting fan out/fan in orchestration with {len(items)} items")
    if len(items) > MAX_FAN_OUT:
        return (yield from fan_out_in_parts(ctx, items))

    # Fan out: create a task for each work item.
    parallel_tasks: list[task.Task[Any]] = []
    for item in items:
        parallel_tasks.append(
            ctx.call_activity("process_work_item", input=item, retry_policy=ITEM_RETRIES)
        )

    # Wait for all tasks to complete. Without any, when_all would wait for ever.
    log.info(f"Waiting for {len(parallel_tasks)} parallel tasks to complete")
    results = (yield task.when_all(parallel_tasks)) if parallel_tasks else []

    # Fan in: aggregate all the results.
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
    return aggregate(len(results), sum(result["result"] for result in results))


# --- More items than one orchestration should hold ---


def fan_out_in_parts(ctx: task.OrchestrationContext, items: Sequence[Any]) -> Orchestrator:
    """Give each part of the items to a sub-orchestration and combine what they return."""
    part_count = min(MAX_FAN_OUT, math.ceil(len(items) / MAX_FAN_OUT))
    size = math.ceil(len(items) / part_count)
    parts = [items[start : start + size] for start in range(0, len(items), size)]
    aggregates = yield task.when_all(
        [
            ctx.call_sub_orchestrator("fan_out_fan_in_orchestrator", input=pack(part))
            for part in parts
        ]
    )
    return aggregate(
        sum(part["total_items"] for part in aggregates), sum(part["sum"] for part in aggregates)
    )


def aggregate(total_items: int, total: int) -> dict[str, Any]:
    """Return the result of a whole run, or of a part of one."""
    return {
        "total_items": total_items,
        "sum": total,
        "average": total / total_items if total_items else 0,
    }


def unpack(work_items: Any) -> Sequence[Any]:
    """Return the items of an orchestrator's input."""
    if isinstance(work_items, dict):
        return range(work_items["first"], work_items["last"] + 1)
    return list(work_items)


def pack(items: Sequence[Any]) -> Any:
    """Return items as an orchestrator's input: a range in two numbers, anything else as it is."""
    if isinstance(items, range):
        return {"first": items[0], "last": items[-1]}
    return items


# --- How the process runs ---

DEFAULT_CONCURRENCY = 1000
SHUTDOWN_SECONDS = 8.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the worker until SIGINT or SIGTERM.

    Returns:
        0 after a signal, when all work in progress is done; 2 for a wrong argument or variable.
        A second signal, or work that takes longer than SHUTDOWN_SECONDS, exits with 1 at once.
    """
    concurrency = parse_arguments(argv)
    prefer_throughput()
    logs.configure("worker", in_background=True)
    try:
        target = Scheduler.from_environment()
        worker = create_worker(target, concurrency)
    except ConfigurationError as error:
        logger.error(error)
        return 2
    logger.info("Starting Fan Out/Fan In pattern worker...")
    logger.info(f"Using taskhub: {target.task_hub}")
    logger.info(f"Using endpoint: {target.endpoint}")
    if target.authentication != "None":
        logger.info(f"Using authentication: {target.authentication}")

    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end_at_once() if stopping.is_set() else stopping.set())
    worker.start()
    while not stopping.wait(0.5):  # Windows handles no signal during a wait without an end.
        pass
    logger.info("Worker shutdown initiated")
    limit = threading.Timer(SHUTDOWN_SECONDS, end_at_once)
    limit.daemon = True
    limit.start()
    worker.stop()
    logger.info("Worker stopped")
    return 0


def parse_arguments(argv: Sequence[str] | None) -> int:
    """Return how many work items to process at once."""
    parser = argparse.ArgumentParser(description="Process the work items of orchestrations.")
    parser.add_argument(
        "--concurrency",
        type=int,
        default=DEFAULT_CONCURRENCY,
        metavar="N",
        help=f"how many work items are processed at once (default {DEFAULT_CONCURRENCY})",
    )
    concurrency: int = parser.parse_args(argv).concurrency
    if not 1 <= concurrency <= 10_000:
        parser.error(f"argument --concurrency: {concurrency} is not between 1 and 10000")
    return concurrency


def create_worker(target: Scheduler, concurrency: int) -> DurableTaskSchedulerWorker:
    """Return a worker that knows the orchestrator and the activities, ready to start."""
    turns = min(concurrency, 100)
    sdk_logger = logs.configure("durabletask")
    sdk_logger.addFilter(Explained(target))
    worker = DurableTaskSchedulerWorker(
        **target.connection(),
        # The SDK's default is a pool of CPU + 4 threads for everything.
        concurrency_options=ConcurrencyOptions(
            maximum_concurrent_activity_work_items=concurrency,
            maximum_concurrent_orchestration_work_items=turns,
            maximum_thread_pool_workers=concurrency + turns,
        ),
        resiliency_options=GrpcWorkerResiliencyOptions(
            hello_timeout_seconds=5,
            reconnect_backoff_base_seconds=0.25,
            reconnect_backoff_cap_seconds=4,
        ),
        logger=sdk_logger,
    )
    worker.add_orchestrator(fan_out_fan_in_orchestrator)
    worker.add_activity(process_work_item)
    worker.add_activity(aggregate_results)
    return worker


def prefer_throughput() -> None:
    """Let no thread that wakes up interrupt the one that runs. On Linux, it saves a tenth."""
    if sys.platform == "linux":
        with suppress(OSError):  # A sandbox may forbid it; then it is as elsewhere.
            if os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def end_at_once() -> None:
    """End the process without waiting for the work in progress; others will run it again."""
    logger.error("Worker stopped before its work in progress was done")
    logging.shutdown()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
