"""The worker side of a process: runs until a signal, then finishes what is in progress."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable

from durabletask.grpc_options import GrpcWorkerResiliencyOptions
from durabletask.worker import TaskHubGrpcWorker

from hosting.exits import usage_errors
from hosting.targets import scheduler_in_use
from scheduler import Scheduler

# How long work in progress may take after a signal: less than the 10 s that Docker gives.
SHUTDOWN_SECONDS = 8.0

# A scheduler that comes back is found again within seconds.
RECONNECTING = GrpcWorkerResiliencyOptions(
    hello_timeout_seconds=5, reconnect_backoff_base_seconds=0.25, reconnect_backoff_cap_seconds=4
)


def run_worker(
    logger: logging.Logger, create_worker: Callable[[Scheduler], TaskHubGrpcWorker]
) -> int:
    """Run a worker of the scheduler that the environment names, until SIGINT or SIGTERM.

    Returns:
        0 after a signal, when all work in progress is done. A wrong variable ends the process
        with 2; a second signal, or work that takes longer than SHUTDOWN_SECONDS, with 1.
    """
    with usage_errors(logger):
        worker = create_worker(scheduler_in_use(logger))
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(
            number, lambda *_: end_at_once(logger) if stopping.is_set() else stopping.set()
        )
    worker.start()
    while not stopping.wait(0.5):  # Windows handles no signal during a wait without an end.
        pass
    logger.info("Worker shutdown initiated")
    limit = threading.Timer(SHUTDOWN_SECONDS, end_at_once, [logger])
    limit.daemon = True
    limit.start()
    worker.stop()
    logger.info("Worker stopped")
    return 0


def end_at_once(logger: logging.Logger) -> None:
    """End the process without waiting for the work in progress; others will run it again."""
    logger.error("Worker stopped before its work in progress was done")
    logging.shutdown()
    os._exit(1)
