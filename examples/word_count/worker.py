"""The worker of the quickstart's Java form: `python -m examples.word_count.worker`."""

import logging
import re
import sys
from collections.abc import Generator
from typing import Any

from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

from hosting.scheduler import Scheduler
from hosting.workers import guarded, start_program, usage_errors, wait_for_signal, worker_options

logger = logging.getLogger("worker")

# Java's StringTokenizer separates words at these characters only.
WORD = re.compile(r"[^ \t\n\r\f]+")


def FanOutFanIn_WordCount(
    ctx: task.OrchestrationContext, sentences: list[str]
) -> Generator[task.Task[Any], Any, int]:
    """Fan out to an activity for each sentence; fan in by adding the numbers of words."""
    tasks: list[task.Task[Any]] = [
        ctx.call_activity("CountWords", input=sentence) for sentence in sentences
    ]
    counts: list[int] = (yield task.when_all(tasks)) if tasks else []
    return sum(counts)


def CountWords(_: task.ActivityContext, sentence: str) -> int:
    """Return the number of words in the sentence."""
    logger.info(f"Counting the words of: {sentence}")
    return len(WORD.findall(sentence))


@usage_errors()
def main() -> int:
    """Process work items until SIGINT or SIGTERM; return 0."""
    start_program()
    scheduler = Scheduler.from_environment()
    with DurableTaskSchedulerWorker(
        **scheduler.connection(), **worker_options(scheduler)
    ) as worker:
        worker.add_orchestrator(guarded(FanOutFanIn_WordCount))
        worker.add_activity(guarded(CountWords))
        worker.use_work_item_filters()
        worker.start()
        wait_for_signal()
    return 0


if __name__ == "__main__":
    sys.exit(main())
