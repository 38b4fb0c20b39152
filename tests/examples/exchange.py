"""Lets a worker answer exactly what a client of another language sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.client import OrchestrationStatus
from durabletask.serialization import JsonDataConverter
from durabletask.worker import TaskHubGrpcWorker
from scheduler import Scheduler

from dts_emulator import Emulator
from tests.processes import PATIENCE_SECONDS


class AsSent(JsonDataConverter):
    """Sends a text that is JSON already, to the letter."""

    def serialize(self, value: Any) -> str | None:
        return None if value is None else str(value)


def answer_to(
    emulator: Emulator,
    create_worker: Callable[[Scheduler], TaskHubGrpcWorker],
    orchestration: str,
    sent: str,
) -> str:
    """Return the output, as JSON, of an orchestration whose input is the JSON `sent`."""
    target = Scheduler(endpoint=emulator.endpoint)
    with (
        DurableTaskSchedulerClient(**target.connection(), data_converter=AsSent()) as client,
        create_worker(target) as worker,
    ):
        worker.start()
        instance_id = client.schedule_new_orchestration(orchestration, input=sent)
        state = client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE_SECONDS)
    assert state is not None
    assert state.runtime_status is OrchestrationStatus.COMPLETED, state
    assert state.serialized_input == sent
    return state.serialized_output or ""
