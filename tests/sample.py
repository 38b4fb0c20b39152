"""The sample's worker in this process, without its pauses, and clients of it."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.client import OrchestrationState, TaskHubGrpcClient
from durabletask.serialization import DataConverter

import large_fan_out
import worker
from hosting.scheduler import Scheduler
from hosting.workers import FailureLog, guarded
from tests.processes import PATIENCE_SECONDS

FAN_OUT, LARGE = "fan_out_fan_in_orchestrator", "large_fan_out_orchestrator"

SAMPLE: tuple[Callable[..., Any], ...] = (
    worker.fan_out_fan_in_orchestrator,
    large_fan_out.large_fan_out_orchestrator,
    worker.process_work_item,
    worker.aggregate_results,
    large_fan_out.combine_aggregates,
)


def connect(endpoint: str, task_hub: str = "default") -> TaskHubGrpcClient:
    """Return the SDK's client of a scheduler."""
    return DurableTaskSchedulerClient(**Scheduler(endpoint, task_hub).connection())


@contextmanager
def working(
    endpoint: str,
    *functions: Callable[..., Any],
    task_hub: str = "default",
    data_converter: DataConverter | None = None,
) -> Iterator[None]:
    """Run a worker with these orchestrators (generators) and activities, registered as ours are."""
    with DurableTaskSchedulerWorker(
        **Scheduler(endpoint, task_hub).connection(),
        interceptors=[FailureLog()],
        logger=logging.getLogger("durabletask"),
        data_converter=data_converter,
    ) as started:
        for function in functions:
            add: Any = started.add_activity
            if inspect.isgeneratorfunction(function):
                add = started.add_orchestrator
            add(guarded(function))
        started.use_work_item_filters()
        started.start()
        yield


class Sample:
    """A worker of the sample, some of whose functions a test replaces."""

    def __init__(self, endpoint: str, client: TaskHubGrpcClient) -> None:
        self.endpoint = endpoint
        self.client = client
        self.replaced: dict[str, Callable[..., Any]] = {}

    def run(self, work_items: Any, orchestrator: str = FAN_OUT) -> OrchestrationState:
        """Run an orchestrator to its end."""
        instance_id = self.client.schedule_new_orchestration(orchestrator, input=work_items)
        state = self.client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE_SECONDS)
        assert state is not None
        return state

    def replaceable(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that calls another one of the same name if a test has put it there."""
        name = function.__name__

        def call(ctx: Any, work: Any) -> Any:
            return self.replaced.get(name, function)(ctx, work)

        def generate(ctx: Any, work: Any) -> Any:
            return (yield from self.replaced.get(name, function)(ctx, work))

        chosen = generate if inspect.isgeneratorfunction(function) else call
        chosen.__name__ = name
        return chosen


@contextmanager
def sample_worker(endpoint: str, *others: Callable[..., Any]) -> Iterator[Sample]:
    """Run the sample's worker, with other functions too, for a block; items take no time."""
    instant = SimpleNamespace(sleep=lambda _: None, monotonic=time.monotonic)
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(worker, "time", instant))
        sample = Sample(endpoint, stack.enter_context(connect(endpoint)))
        stack.enter_context(working(endpoint, *map(sample.replaceable, SAMPLE), *others))
        yield sample
