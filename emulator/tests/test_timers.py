"""Timers: things that are due at their time, thousands on one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dts_emulator.hub.timers import Timers
from tests.processes import PATIENCE_SECONDS, wait_until

SECOND = 1_000_000_000


def call(what: object) -> None:
    """Fire: the things of these tests are functions."""
    assert callable(what)
    what()


@pytest.fixture
def timers() -> Iterator[Timers]:
    timers = Timers(call, time.time_ns)
    yield timers
    timers.close()


def now() -> int:
    return time.time_ns()


def soon(milliseconds: int) -> int:
    return now() + milliseconds * 1_000_000


def test_a_thing_fires_at_its_time_and_not_before(timers: Timers) -> None:
    fired = threading.Event()
    due = soon(100)
    timers.set(due, "", fired.set)
    assert fired.wait(PATIENCE_SECONDS)
    assert now() >= due


def test_a_time_in_the_past_means_now(timers: Timers) -> None:
    fired = threading.Event()
    timers.set(0, "", fired.set)
    assert fired.wait(PATIENCE_SECONDS)


def test_things_fire_in_the_order_of_their_times(timers: Timers) -> None:
    order: list[int] = []
    start = soon(100)
    for number in (3, 1, 2):
        timers.set(start + number * 10_000_000, "", appending(order, number))
    wait_until(lambda: len(order) == 3, "all have fired")
    assert order == [1, 2, 3]


def appending(order: list[int], number: int) -> Callable[[], None]:
    return lambda: order.append(number)


def test_an_earlier_thing_overtakes_the_one_that_is_waited_for(timers: Timers) -> None:
    timers.set(soon(3_600_000), "", lambda: None)
    fired = threading.Event()
    timers.set(soon(50), "", fired.set)
    assert fired.wait(PATIENCE_SECONDS)


def test_thousands_need_one_thread(timers: Timers) -> None:
    order: list[int] = []
    before = threading.active_count()
    due = soon(200)
    for number in range(5000):
        timers.set(due, "", appending(order, number))
    assert threading.active_count() <= before + 1
    wait_until(lambda: len(order) == 5000, "all have fired")


def test_what_is_dropped_never_fires_and_leaves_nothing() -> None:
    clock = [0]
    timers = Timers(call, lambda: clock[0])
    fired: list[int] = []
    for number in range(1000):
        timers.set(1, "gone", appending(fired, number))
    last = threading.Event()
    timers.set(1, "stays", last.set)
    timers.drop("gone")
    assert len(timers) == 1
    clock[0] = 1
    timers.wake()
    assert last.wait(PATIENCE_SECONDS)
    assert fired == []
    assert len(timers) == 0
    timers.close()


def test_the_next_time_is_that_of_the_earliest_thing_that_is_not_dropped(timers: Timers) -> None:
    first, second = soon(3_600_000), soon(7_200_000)
    timers.set(first, "gone", lambda: None)
    timers.set(second, "stays", lambda: None)
    assert timers.next_due() == first
    timers.drop("gone")
    assert timers.next_due() == second


def test_a_clock_that_is_set_forward_is_looked_at(timers: Timers) -> None:
    offset = [0]
    skipping = Timers(call, lambda: time.time_ns() + offset[0])
    fired = threading.Event()
    skipping.set(soon(3_600_000), "", fired.set)
    offset[0] = 7200 * SECOND
    skipping.wake()
    assert fired.wait(PATIENCE_SECONDS)
    skipping.close()


def test_an_error_is_logged_and_the_next_thing_fires(
    timers: Timers, caplog: pytest.LogCaptureFixture
) -> None:
    fired = threading.Event()

    def fail() -> None:
        raise RuntimeError("no luck")

    with caplog.at_level(logging.ERROR, "emulator"):
        timers.set(0, "", fail)
        timers.set(0, "", fired.set)
        assert fired.wait(PATIENCE_SECONDS)
    assert "no luck" in caplog.text


def test_what_fires_may_set_another(timers: Timers) -> None:
    fired = threading.Event()
    timers.set(0, "", lambda: timers.set(0, "", fired.set))
    assert fired.wait(PATIENCE_SECONDS)


def test_a_time_that_is_thousands_of_years_away_does_no_harm(timers: Timers) -> None:
    timers.set(253_402_300_799 * SECOND, "", lambda: None)
    fired = threading.Event()
    timers.set(0, "", fired.set)
    assert fired.wait(PATIENCE_SECONDS)


def test_closing_ends_the_thread_and_forgets_what_has_not_fired() -> None:
    timers = Timers(call, time.time_ns)
    fired: list[int] = []
    timers.set(soon(200), "", appending(fired, 1))
    before = threading.active_count()
    timers.close()
    timers.set(0, "", appending(fired, 2))
    assert threading.active_count() == before - 1
    time.sleep(0.3)  # Past the time of the first.
    assert fired == []


def test_closing_from_what_fires_does_not_wait_for_itself() -> None:
    timers = Timers(call, time.time_ns)
    closed = threading.Event()

    def close() -> None:
        timers.close()
        closed.set()

    timers.set(0, "", close)
    assert closed.wait(PATIENCE_SECONDS)
