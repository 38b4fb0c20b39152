"""Attacks the emulator: within a fixed budget, or for FUZZ_SECONDS (`make fuzz SECONDS=600`)."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from dts_emulator import Emulator
from tests.rest.fuzz.attack import ANSWERS, LONG, Attacker, Call, no_error_is_logged
from tests.rest.fuzz.recovery import recover, run_with_the_sdk
from tests.wire import METHODS, wire_to

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
STATES = ("in memory", "in a file")
EXAMPLES = 12
CALLS = 60

# How much more memory may be in use than once all has been warmed up.
PLATEAU_BYTES = 150 * 1024 * 1024
WARM_UP_ROUNDS = 3

# Answers come more often: what a worker says goes deeper than what a client asks.
NAMES = sorted([*METHODS, *ANSWERS, *ANSWERS, *ANSWERS, "StartInstance", "SignalEntity"])

CALL = st.builds(
    Call,
    name=st.sampled_from(NAMES),
    seed=st.integers(0, 2**32),
    aimed=st.booleans(),
    repeated=st.booleans(),
)
RULES = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


class Target:
    """The emulator under attack; after a failure a new one, so that the failure can be replayed.

    It does not wait long for workers that are gone. Its state is in a file of `folder`, or in
    memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._files = (folder / f"{number}.db" for number in itertools.count()) if folder else None
        self.emulator = self._new_emulator()

    def _new_emulator(self) -> Emulator:
        return Emulator(lease_grace=0.05, db_file=next(self._files) if self._files else None)

    def attack(self, calls: list[Call]) -> None:
        """Start something, make the calls, and check that the emulator is as good as new."""
        try:
            with no_error_is_logged():
                self._attack(calls)
        except BaseException:
            self.emulator.stop()
            self.emulator = self._new_emulator()
            self.emulator.start()
            raise

    def _attack(self, calls: list[Call]) -> None:
        with wire_to(self.emulator) as wire:
            attacker = Attacker(wire)
            attacker.listen()
            for instance_id in "abc":
                wire.start(instance_id)
            for call in calls:
                attacker.make(call)
            attacker.hang_up()
        if self.emulator.db_file is not None:
            # Whatever was written can be read.
            self.emulator.stop()
            self.emulator.start()
        recover(self.emulator)

    def attack_often(self, number: int) -> None:
        """Make many attacks, other ones for each number."""

        @seed(number)
        @RULES
        @given(st.lists(CALL, min_size=10, max_size=CALLS))
        def attack_once(calls: list[Call]) -> None:
            self.attack(calls)

        attack_once()


@pytest.fixture(params=STATES)
def target(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Target]:
    """Give an emulator to attack, in which items that are given back do not rest long."""
    monkeypatch.setattr("dts_emulator.hub.leases.ABANDON_BACKOFF_SECONDS", 0.05)
    target = Target(tmp_path if request.param == "in a file" else None)
    target.emulator.start()
    yield target
    target.emulator.stop()


@pytest.mark.skipif(SECONDS > 0, reason="the long attack takes its place")
def test_no_call_leaves_anything_stuck(target: Target) -> None:
    target.attack_often(13)
    run_with_the_sdk(target.emulator)


@pytest.mark.skipif(SECONDS == 0, reason="make fuzz SECONDS=600 runs it")
@pytest.mark.timeout(SECONDS + 600)
def test_no_call_leaves_anything_stuck_for_long(target: Target) -> None:
    process = psutil.Process()
    plateau, end, rounds = 0, time.monotonic() + SECONDS / len(STATES), 0
    while time.monotonic() < end:
        target.attack_often(time.time_ns())
        rounds += 1
        if rounds <= WARM_UP_ROUNDS:
            plateau = process.memory_info().rss
        assert process.memory_info().rss < plateau + PLATEAU_BYTES
    run_with_the_sdk(target.emulator)


def test_every_rpc_is_called() -> None:
    assert LONG | ANSWERS < set(METHODS) == set(NAMES)
