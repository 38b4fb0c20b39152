"""Records the histories that the programme's changes are replayed against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from durabletask import history as h
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient

from dts_emulator import Emulator
from tests import parts
from tests.processes import PATIENCE_SECONDS, wait_until
from tests.programs import end_of, program_of, wait_for_status
from tests.replay import chains, programme, waits

History = Sequence[h.HistoryEvent]

ORCHESTRATORS = (
    chains.chain,
    chains.retried,
    chains.region,
    chains.children,
    waits.approval,
    waits.transfer,
    waits.counter,
)
ACTIVITIES = (programme.reserve, programme.charge, programme.ship, programme.plus, parts.fail_twice)


def renamed(history: History, name: str) -> list[h.HistoryEvent]:
    """Return a history as that of another orchestrator."""
    return [
        replace(event, name=name) if isinstance(event, h.ExecutionStartedEvent) else event
        for event in history
    ]


def turns_until(history: History, number: int) -> list[h.HistoryEvent]:
    """Return the first turns of a history: that of an instance that still runs."""
    starts = [at for at, e in enumerate(history) if isinstance(e, h.OrchestratorStartedEvent)]
    return list(history[: starts[number]])


def record() -> dict[str, History]:
    """Run every orchestrator, and return the histories by the names that changes use."""
    found: dict[str, History] = {}
    with (
        Emulator(skip_time=True) as emulator,
        program_of(emulator, *ORCHESTRATORS, *ACTIVITIES, programme.balance) as client,
    ):

        def finished(name: str, **options: Any) -> History:
            instance_id = client.schedule_new_orchestration(name, **options)
            end_of(client, instance_id)
            return client.get_orchestration_history(instance_id)

        found["chain"] = finished("chain", input="7")
        found["chain-running"] = turns_until(found["chain"], 2)
        found["retried"] = finished("retried", input="replay-retried")
        found["children"] = finished("children", input=["north", "south"], instance_id="family")
        found["children-part"] = client.get_orchestration_history("family:0001")
        found["transfer"] = finished("transfer", input=5)
        found["approval-late"] = finished("approval", input="r")
        found |= _answered(emulator, client)
        found |= _counted(client)
    found["approval-waiting"] = turns_until(found["approval-late"], 1)
    return found


def _answered(emulator: Emulator, client: TaskHubGrpcClient) -> dict[str, History]:
    with emulator.hold_time():
        instance_id = client.schedule_new_orchestration("approval", input="r")
        client.wait_for_orchestration_start(instance_id, timeout=PATIENCE_SECONDS)
        client.raise_orchestration_event(instance_id, "answer", data="yes")
    end_of(client, instance_id)
    return {"approval-answered": client.get_orchestration_history(instance_id)}


def _counted(client: TaskHubGrpcClient) -> dict[str, History]:
    instance_id = client.schedule_new_orchestration("counter", input=0)
    wait_for_status(client, instance_id, OrchestrationStatus.RUNNING)
    client.raise_orchestration_event(instance_id, "number", data=1)
    client.raise_orchestration_event(instance_id, "number", data=2)

    def waits() -> bool:
        state = client.get_orchestration_state(instance_id)
        history = client.get_orchestration_history(instance_id)
        return state is not None and state.get_input() == 3 and len(history) == 2

    wait_until(waits, "the third execution waits")
    running = client.get_orchestration_history(instance_id)
    client.raise_orchestration_event(instance_id, "number", data=3)
    end_of(client, instance_id)
    return {
        "counter-running": running,
        "counter": client.get_orchestration_history(instance_id),
    }
