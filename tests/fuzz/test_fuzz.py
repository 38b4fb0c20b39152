"""Attacks the emulator: within a fixed budget, or for FUZZ_SECONDS (`make fuzz SECONDS=600`)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from emulator import Emulator
from tests.emulator.wire import METHODS, start, wire_to
from tests.fuzz.attack import ANSWERS, LONG, Attacker, Call, no_error_is_logged
from tests.fuzz.recovery import recover, run_with_the_sdk

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
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


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """Give an emulator that does not wait long for workers that are gone, or give work back."""
    monkeypatch.setattr("emulator.leases.REST_SECONDS", 0.05)
    with Emulator(lease_grace=0.05) as emulator:
        yield emulator


def attack(emulator: Emulator, calls: list[Call]) -> None:
    """Start something, make the calls, and check that the emulator is as good as new."""
    with no_error_is_logged():
        with wire_to(emulator) as wire:
            attacker = Attacker(wire)
            attacker.listen()
            for instance_id in "abc":
                start(wire, instance_id)
            for call in calls:
                attacker.make(call)
            attacker.hang_up()
        recover(emulator)


@pytest.mark.skipif(SECONDS > 0, reason="the long attack takes its place")
def test_no_call_leaves_anything_stuck(emulator: Emulator) -> None:
    @seed(13)
    @RULES
    @given(st.lists(CALL, min_size=10, max_size=CALLS))
    def attack_once(calls: list[Call]) -> None:
        attack(emulator, calls)

    attack_once()
    run_with_the_sdk(emulator)


@pytest.mark.skipif(SECONDS == 0, reason="make fuzz SECONDS=600 runs it")
@pytest.mark.timeout(SECONDS + 600)
def test_no_call_leaves_anything_stuck_for_long(emulator: Emulator) -> None:
    process = psutil.Process()
    plateau, end, rounds = 0, time.monotonic() + SECONDS, 0
    while time.monotonic() < end:

        @seed(time.time_ns())
        @RULES
        @given(st.lists(CALL, min_size=10, max_size=CALLS))
        def attack_once(calls: list[Call]) -> None:
            attack(emulator, calls)

        attack_once()
        rounds += 1
        if rounds <= WARM_UP_ROUNDS:
            plateau = process.memory_info().rss
        assert process.memory_info().rss < plateau + PLATEAU_BYTES
    run_with_the_sdk(emulator)


def test_every_rpc_is_called() -> None:
    assert LONG | ANSWERS < set(METHODS) == set(NAMES)
