"""Runs programs written with the SDK against an emulator in this process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.client import OrchestrationState, OrchestrationStatus, TaskHubGrpcClient
from durabletask.entities import DurableEntity
from durabletask.worker import ConcurrencyOptions, TaskHubGrpcWorker

from dts_emulator import Emulator, Replayer
from tests import parts
from tests.processes import PATIENCE_SECONDS, wait_until

quiet = logging.getLogger("tests.sdk")
quiet.setLevel(logging.CRITICAL)


def new_client(
    emulator: Emulator, task_hub: str = "default", **options: Any
) -> DurableTaskSchedulerClient:
    """Return a client of the emulator; close it, or use it in a with statement."""
    return DurableTaskSchedulerClient(
        host_address=emulator.endpoint,
        taskhub=task_hub,
        token_credential=None,
        secure_channel=False,
        logger=quiet,
        **options,
    )


def new_worker(
    emulator: Emulator | Replayer,
    *functions: Callable[..., Any],
    task_hub: str = "default",
    **options: Any,
) -> DurableTaskSchedulerWorker:
    """Return a worker of an emulator or a replayer that knows `functions`, not started yet.

    What a function is, its first parameter says: `ctx` for an orchestrator, `entity` for an
    entity, anything else for an activity. A class is an entity.
    """
    options.setdefault("concurrency_options", ConcurrencyOptions(maximum_thread_pool_workers=50))
    worker = DurableTaskSchedulerWorker(
        host_address=emulator.endpoint,
        taskhub=task_hub,
        token_credential=None,
        secure_channel=False,
        logger=quiet,
        **options,
    )
    for function in functions:
        register(worker, function)
    return worker


def register(worker: TaskHubGrpcWorker, function: Callable[..., Any]) -> None:
    """Register one function as what its first parameter says."""
    if isinstance(function, type):
        worker.add_entity(function)
        return
    match function.__code__.co_varnames[0]:
        case "ctx":
            worker.add_orchestrator(function)
        case "entity":
            worker.add_entity(function)
        case _:
            worker.add_activity(function)


@contextmanager
def worker_of(
    emulator: Emulator | Replayer, *functions: Callable[..., Any], **options: Any
) -> Iterator[TaskHubGrpcWorker]:
    """Run a worker that knows `functions` for the length of a block."""
    with new_worker(emulator, *functions, **options) as worker:
        worker.start()
        yield worker


@contextmanager
def program_of(
    emulator: Emulator, *functions: Callable[..., Any], **options: Any
) -> Iterator[TaskHubGrpcClient]:
    """Run a worker that knows `functions` and give a client beside it."""
    with worker_of(emulator, *functions, **options), new_client(emulator) as client:
        yield client


def functions_of(module: str) -> list[Callable[..., Any]]:
    """Return the orchestrators, activities and entities of a test module, and the shared parts.

    Where both define a name, the module's own counts.
    """
    found = {
        name: value
        for source in (parts, sys.modules[module])
        for name, value in vars(source).items()
        if getattr(value, "__module__", "") == source.__name__ and is_part_of_program(name, value)
    }
    return list(found.values())


def is_part_of_program(name: str, value: Any) -> bool:
    """Return whether a module's member is an orchestrator, an activity or an entity."""
    if isinstance(value, type):
        return issubclass(value, DurableEntity)
    if not isinstance(value, FunctionType) or name.startswith("test_"):
        return False
    return value.__code__.co_varnames[:1] in (("ctx",), ("entity",), ("_",))


def end_of(client: TaskHubGrpcClient, instance_id: str) -> OrchestrationState:
    """Wait for an instance's end and return its last state."""
    state = client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE_SECONDS)
    assert state is not None
    return state


def output_of(client: TaskHubGrpcClient, instance_id: str) -> Any:
    """Wait until an instance has completed and return its output."""
    state = end_of(client, instance_id)
    assert state.runtime_status is OrchestrationStatus.COMPLETED, state
    return state.get_output()


def status_of(client: TaskHubGrpcClient, instance_id: str) -> OrchestrationStatus | None:
    """Return an instance's status, None if there is no such instance."""
    state = client.get_orchestration_state(instance_id)
    return state.runtime_status if state is not None else None


def is_running(client: TaskHubGrpcClient, instance_id: str) -> bool:
    """Return whether a worker has run the first turn of an instance that has not ended."""
    return status_of(client, instance_id) is OrchestrationStatus.RUNNING


def wait_for_status(
    client: TaskHubGrpcClient, instance_id: str, status: OrchestrationStatus
) -> None:
    """Wait until an instance has a status."""
    wait_until(lambda: status_of(client, instance_id) is status, f"{instance_id} is {status}")


def run(client: TaskHubGrpcClient, orchestrator: Callable[..., Any], **options: Any) -> Any:
    """Run an orchestration to its end and return its output."""
    return output_of(client, client.schedule_new_orchestration(orchestrator, **options))
