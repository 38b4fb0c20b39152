"""Histories of workers in JavaScript are replayed on workers in JavaScript."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from durabletask.history import HistoryEvent, SubOrchestrationInstanceCreatedEvent

from dts_emulator import Emulator, Replayer, ReplayResult, WorkerRefusedError
from tests.programs import end_of, new_client
from tests.rest.interop.javascript import javascript, needs_javascript

pytestmark = needs_javascript


@pytest.fixture(scope="module")
def histories() -> list[Sequence[HistoryEvent]]:
    """Run the orchestrator once; return its history and that of its sub-orchestration."""
    with (
        Emulator(skip_time=True, check_determinism=True) as emulator,
        new_client(emulator) as client,
        javascript("replayed.mjs", ENDPOINT=emulator.endpoint, TASKHUB="default"),
    ):
        client.schedule_new_orchestration("trip", input=["Rome", "Bern"], instance_id="trip")
        client.raise_orchestration_event("trip", "answer", data={"yes": 1})
        end_of(client, "trip")
        parent = client.get_orchestration_history("trip")
        child = next(e for e in parent if isinstance(e, SubOrchestrationInstanceCreatedEvent))
        return [parent, client.get_orchestration_history(child.instance_id)]


def replayed(histories: list[Sequence[HistoryEvent]], variant: str) -> list[ReplayResult]:
    with Replayer() as replayer:
        variables = {"ENDPOINT": replayer.endpoint, "TASKHUB": replayer.task_hub}
        with javascript("replayed.mjs", variant, **variables):
            return [replayer.replay(history) for history in histories]


def test_unchanged_code_fits(histories: list[Sequence[HistoryEvent]]) -> None:
    assert [result.ok for result in replayed(histories, "same")] == [True, True]


@pytest.mark.parametrize(
    ("variant", "text"),
    [
        ("early", "step 5\n  recorded: activity pay("),
        ("input", 'step 4\n  recorded: sub-orchestration stay("Rome") as '),
    ],
)
def test_a_change_is_named(
    histories: list[Sequence[HistoryEvent]], variant: str, text: str
) -> None:
    parent, child = replayed(histories, variant)
    assert text in str(parent)
    assert child.ok


def test_an_unregistered_orchestrator_is_a_refusal(
    histories: list[Sequence[HistoryEvent]],
) -> None:
    with pytest.raises(WorkerRefusedError, match="'trip': it has not registered it"):
        replayed(histories, "none")
