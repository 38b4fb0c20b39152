"""The worker of the quickstart's Java form: `python -m examples.word_count.worker`."""

import hosting.interrupts  # noqa: F401  First: Ctrl-C then ends the other imports quietly.

import logging
import re
import sys
from collections.abc import Generator
from typing import Any

from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

from hosting.activities import register
from hosting.program import start
from hosting.sdk_log import sdk_logger
from hosting.workers import RECONNECTING, run_worker
from scheduler import Scheduler

logger = logging.getLogger("worker")

# Java's StringTokenizer separates words at these and at nothing else.
WORD = re.compile(r"[^ \t\n\r\f]+")


def FanOutFanIn_WordCount(
    ctx: task.OrchestrationContext, sentences: list[str]
) -> Generator[task.Task[Any], Any, int]:
    """Fan out to an activity for each sentence; fan in by adding up the numbers of words."""
    tasks: list[task.Task[Any]] = [
        ctx.call_activity("CountWords", input=sentence) for sentence in sentences
    ]
    counts: list[int] = (yield task.when_all(tasks)) if tasks else []
    return sum(counts)


def CountWords(_: task.ActivityContext, sentence: str) -> int:
    """Return how many words the sentence has."""
    logger.info(f"Counting the words of: {sentence}")
    return len(WORD.findall(sentence))


def create_worker(target: Scheduler) -> DurableTaskSchedulerWorker:
    """Return a worker that knows the orchestration and its activity, ready to start."""
    worker = DurableTaskSchedulerWorker(
        **target.connection(), resiliency_options=RECONNECTING, logger=sdk_logger(target)
    )
    register(worker, logger, [FanOutFanIn_WordCount], [CountWords])
    return worker


if __name__ == "__main__":
    start("worker", many_threads=True)
    sys.exit(run_worker(logger, create_worker))
