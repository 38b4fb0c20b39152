"""Timers: callbacks at their time, thousands on one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from emulator.timers import Timers
from tests.processes import PATIENCE_SECONDS, wait_until


@pytest.fixture
def timers() -> Iterator[Timers]:
    timers = Timers()
    yield timers
    timers.close()


def test_a_callback_runs_at_its_time_and_not_before(timers: Timers) -> None:
    ran = threading.Event()
    due = time.time() + 0.1
    timers.at(due, ran.set)
    assert ran.wait(PATIENCE_SECONDS)
    assert time.time() >= due


def test_a_time_in_the_past_means_now(timers: Timers) -> None:
    ran = threading.Event()
    timers.at(0, ran.set)
    assert ran.wait(PATIENCE_SECONDS)


def test_callbacks_run_in_the_order_of_their_times(timers: Timers) -> None:
    order: list[int] = []
    now = time.time()
    for number in (3, 1, 2):
        timers.at(now + 0.1 + number / 100, partial(order.append, number))
    wait_until(lambda: len(order) == 3, "all have run")
    assert order == [1, 2, 3]


def test_an_earlier_callback_overtakes_the_one_that_is_waited_for(timers: Timers) -> None:
    timers.at(time.time() + 3600, lambda: None)
    ran = threading.Event()
    timers.at(time.time() + 0.05, ran.set)
    assert ran.wait(PATIENCE_SECONDS)


def test_thousands_need_one_thread(timers: Timers) -> None:
    ran: list[int] = []
    before = threading.active_count()
    for number in range(5000):
        timers.at(time.time() + 0.2, partial(ran.append, number))
    assert threading.active_count() <= before + 1
    wait_until(lambda: len(ran) == 5000, "all have run")


def test_a_callback_that_fails_is_logged_and_the_next_one_runs(
    timers: Timers, caplog: pytest.LogCaptureFixture
) -> None:
    ran = threading.Event()

    def fail() -> None:
        raise RuntimeError("no luck")

    with caplog.at_level(logging.ERROR, "emulator"):
        timers.at(0, fail)
        timers.at(0, ran.set)
        assert ran.wait(PATIENCE_SECONDS)
    assert "no luck" in caplog.text


def test_a_callback_may_add_another(timers: Timers) -> None:
    ran = threading.Event()
    timers.at(0, lambda: timers.at(0, ran.set))
    assert ran.wait(PATIENCE_SECONDS)


def test_a_time_that_is_thousands_of_years_away_does_no_harm(timers: Timers) -> None:
    timers.at(253_402_300_799.0, lambda: None)
    ran = threading.Event()
    timers.at(0, ran.set)
    assert ran.wait(PATIENCE_SECONDS)


def test_closing_ends_the_thread_and_forgets_what_has_not_run() -> None:
    timers = Timers()
    ran: list[str] = []
    timers.at(time.time() + 0.2, lambda: ran.append("before"))
    before = threading.active_count()
    timers.close()
    timers.at(0, lambda: ran.append("after"))
    assert threading.active_count() == before - 1
    time.sleep(0.3)  # Past the time of the first.
    assert ran == []


def test_closing_from_a_callback_does_not_wait_for_itself() -> None:
    timers = Timers()
    closed = threading.Event()

    def close() -> None:
        timers.close()
        closed.set()

    timers.at(0, close)
    assert closed.wait(PATIENCE_SECONDS)
