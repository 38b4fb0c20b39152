"""Every change to an orchestrator is told apart: it fits the history it has left, or does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from durabletask import history as h

from dts_emulator import Replayer
from tests.programs import worker_of
from tests.replay import anywhere  # noqa: F401, notes its changes
from tests.replay.programme import CHANGES, Change
from tests.replay.recording import ORCHESTRATORS, History, record, renamed


@pytest.fixture(scope="module")
def histories() -> dict[str, History]:
    return record()


@pytest.fixture(scope="module")
def replayer() -> Iterator[Replayer]:
    """Give a replayer whose worker knows the orchestrators and all their changes."""
    with (
        Replayer() as replayer,
        worker_of(replayer, *ORCHESTRATORS, *(one.code for one in CHANGES)),
    ):
        yield replayer


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.registered_as)
def test_a_change_is_classified(
    change: Change, histories: dict[str, History], replayer: Replayer
) -> None:
    result = replayer.replay(renamed(histories[change.history], change.registered_as))
    if change.differs is None:
        assert result.ok, str(result)
    else:
        assert change.differs in str(result)


def test_unchanged_code_fits_every_history(
    histories: dict[str, History], replayer: Replayer
) -> None:
    for name, history in histories.items():
        assert str(replayer.replay(history, name=name)) == f"ok {name}"


# Values that a step might have been recorded with instead, by the names of its fields.
OTHER_VALUES: dict[str, Callable[[Any], Any]] = {
    "input": lambda _: '"another"',
    "result": lambda _: '"another"',
    "name": lambda name: f"another_{name}",
    "operation": lambda name: f"another_{name}",
    "version": lambda _: "another",
    "fire_at": lambda time: time + timedelta(microseconds=1),
    "instance_id": lambda instance_id: f"{instance_id}-another",
    "target_instance_id": lambda entity_id: f"{entity_id}-another",
    "lock_set": lambda entities: [*entities, "@balance@another"],
    "critical_section_id": lambda section: f"{section}-another",
}
STEPS = (
    h.TaskScheduledEvent,
    h.TimerCreatedEvent,
    h.SubOrchestrationInstanceCreatedEvent,
    h.EventSentEvent,
    h.EntityOperationCalledEvent,
    h.EntityOperationSignaledEvent,
    h.EntityLockRequestedEvent,
    h.EntityUnlockSentEvent,
    h.ExecutionCompletedEvent,
)


def recorded_otherwise(history: History) -> Iterator[tuple[str, History]]:
    """Yield the histories in which one value of one step is another, with what is changed."""
    for at, event in enumerate(history):
        for name in [one.name for one in fields(event) if isinstance(event, STEPS)]:
            if name in OTHER_VALUES:
                other = replace(event, **{name: OTHER_VALUES[name](getattr(event, name))})
                yield f"{name} of {event}", [*history[:at], other, *history[at + 1 :]]


def test_every_value_of_every_step_counts(
    histories: dict[str, History], replayer: Replayer
) -> None:
    tried = 0
    for history in histories.values():
        for what, other in recorded_otherwise(history):
            tried += 1
            assert not replayer.replay(other).ok, what
    assert tried > 60
