"""A worker of a program of its own: `python -m tests.fan_out_worker`, until it is killed."""

from __future__ import annotations

import os
import threading
from typing import Any

from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker


def fan_out(ctx: task.OrchestrationContext, count: int) -> Any:
    squares = yield task.when_all([ctx.call_activity(square, input=n) for n in range(count)])
    return sum(squares)


def square(_: task.ActivityContext, number: int) -> int:
    return number * number


def main() -> None:
    with DurableTaskSchedulerWorker(
        host_address=os.environ["ENDPOINT"],
        taskhub=os.environ.get("TASKHUB", "default"),
        token_credential=None,
        secure_channel=False,
    ) as worker:
        worker.add_orchestrator(fan_out)
        worker.add_activity(square)
        worker.start()
        threading.Event().wait()


if __name__ == "__main__":
    main()
