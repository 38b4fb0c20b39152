"""Every change to an orchestrator is told apart: it fits the history it has left, or does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
