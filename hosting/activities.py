"""Registers orchestrators and activities, so that the worker's log tells what fails in them."""

from __future__ import annotations

import functools
import inspect
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable
from typing import Any

from durabletask import task
from durabletask.worker import TaskHubGrpcWorker

from hosting.failures import in_words, innermost, shortened
from scheduler import ConfigurationError

Function = Callable[..., Any]

# How many activities that have failed are remembered, to count their attempts.
MAX_REMEMBERED = 10_000


def register(
    worker: TaskHubGrpcWorker,
    logger: logging.Logger,
    orchestrators: Iterable[Function],
    activities: Iterable[Function],
) -> None:
    """Let the worker run these functions, each by its name.

    Args:
        worker: one that has not started.
        logger: takes a warning for each failed attempt of an activity, and the traceback when
            an orchestration fails with it.
        orchestrators: generator functions of a context and an input.
        activities: plain functions of a context and an input.

    Raises:
        ConfigurationError: a function is `async`, which the SDK does not await.
    """
    attempts = Attempts()
    for orchestrator in orchestrators:
        worker.add_orchestrator(_telling(_checked(orchestrator, "orchestrator"), logger))
    for activity in activities:
        worker.add_activity(_watched(_checked(activity, "activity"), logger, attempts))


class Attempts:
    """Counts the attempts that this worker has made at activities which fail."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: OrderedDict[tuple[str, int], int] = OrderedDict()

    def failed(self, activity: task.ActivityContext) -> int:
        """Count one more and return how many there were."""
        key = (activity.orchestration_id, activity.task_id)
        with self._lock:
            self._failed[key] = self._failed.get(key, 0) + 1
            self._failed.move_to_end(key)
            if len(self._failed) > MAX_REMEMBERED:
                self._failed.popitem(last=False)
            return self._failed[key]


def _checked(function: Function, kind: str) -> Function:
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    if not is_async:
        return function
    advice = "It runs on a thread of its own, where it may block."
    if kind == "orchestrator":
        advice = "It waits with 'yield', not with 'await'."
    raise ConfigurationError(
        f"The {kind} '{function.__name__}' is an async function; write 'def' instead. {advice}"
    )


def _watched(activity: Function, logger: logging.Logger, attempts: Attempts) -> Function:
    """Return the activity with a line in the log for each attempt that fails."""

    @functools.wraps(activity)
    def attempt(ctx: task.ActivityContext, item: Any) -> Any:
        try:
            return activity(ctx, item)
        except Exception as error:
            logger.warning(
                f"{activity.__name__} failed for {_shown(item)}, attempt {attempts.failed(ctx)}: "
                f"{type(error).__name__}: {error}"
            )
            raise

    return attempt


def _telling(orchestrator: Function, logger: logging.Logger) -> Function:
    """Return the orchestrator with the traceback of what it fails with in the log, once."""
    if not inspect.isgeneratorfunction(orchestrator):
        return orchestrator

    @functools.wraps(orchestrator)
    def run(ctx: task.OrchestrationContext, work: Any) -> Generator[task.Task[Any], Any, Any]:
        try:
            return (yield from orchestrator(ctx, work))
        except task.TaskFailedError as error:
            cause = innermost(error.details)
            trace = ""
            # A failed sub-orchestration has told it already.
            if cause.stack_trace and not error.details.is_caused_by("TaskFailedError"):
                trace = f"Traceback (most recent call last):\n{cause.stack_trace}{in_words(cause)}"
            logger.error(
                f"{orchestrator.__name__} {ctx.instance_id} failed: {in_words(cause)}",
                extra={"trace": trace},
            )
            raise
        except Exception:
            logger.exception(f"{orchestrator.__name__} {ctx.instance_id} failed")
            raise

    return run


def _shown(item: Any) -> str:
    try:
        return shortened(json.dumps(item))
    except (TypeError, ValueError):
        return shortened(repr(item))
