"""Every time that the protocol allows is kept exactly, and is compared rightly."""

from __future__ import annotations

from struct import pack

import pytest

from dts_emulator.engine.model import Entity, Timer
from dts_emulator.store import EntityFilter, Filter, Store
from dts_emulator.store.codec import Part, body_of, dispatch_times_of
from tests.store.things import TIME, Reopen, contents, ended, ids, instance, named

SECOND = 1_000_000_000
YEAR_1 = -62_135_596_800 * SECOND
YEAR_9999 = 253_402_300_800 * SECOND - 1

EXTREMES = [YEAR_1, YEAR_1 + 1, -(2**63) - 1, -(2**63), -1, 2**63 - 1, 2**63, YEAR_9999]


@pytest.mark.parametrize("time", EXTREMES)
def test_a_time_is_found_again_to_the_nanosecond(store: Store, reopen: Reopen, time: int) -> None:
    before = instance(
        scheduled_start=time,
        starts_at=time,
        dispatch_times={(-1, time): (TIME, TIME + 1), (2**31 - 1, -time): (0, 1), (7, 0): (2, 3)},
    )
    store.put(before)
    store.put_timer(Timer(time, "@e@k", named("t")))
    again = reopen()
    (found,), (timer,) = again.active(), again.timers()
    assert contents(found) == contents(before)
    assert timer.due == time


def test_what_an_earlier_emulator_has_noted_is_read() -> None:
    body = pack("<8q", 7, TIME, 1, 2, -1, TIME + 1, 3, 4)
    assert dispatch_times_of([body]) == {(7, TIME): (1, 2), (-1, TIME + 1): (3, 4)}
    assert body_of(Part.DISPATCH_TIMES, [(7, TIME, 1, 2), (-1, TIME + 1, 3, 4)]) == body


@pytest.fixture
def filled(store: Store, reopen: Reopen) -> Store:
    """Give a store of which some is on disk."""
    store.put(ended("old", created_at=TIME))
    store.put_entity(Entity("@e@old", TIME, state="1"))
    store = reopen()
    store.put(ended("new", created_at=TIME + 1))
    store.put_entity(Entity("@e@new", TIME, state="1"))
    return store


@pytest.mark.parametrize("time", EXTREMES)
def test_a_filter_may_have_any_time(filled: Store, time: int) -> None:
    all_, none = ["old", "new"], list[str]()
    after, before = (none, all_) if time > TIME else (all_, none)
    for name in ("created", "completed"):
        since, until = (Filter(**{f"{name}_{end}": time}) for end in ("from", "to"))  # type: ignore[arg-type]
        assert sorted(ids(filled.by_creation(since, None, 10)), reverse=True) == after
        assert sorted(ids(filled.by_completion(until, None, 10)), reverse=True) == before
        assert sum(filled.count_by_status(since).values()) == len(after)
        assert filled.newest(until, 0, 10)[1] == len(before)
    assert len(filled.entities(EntityFilter(modified_from=time), "", 10)) == len(after)
    assert len(filled.entities(EntityFilter(modified_to=time), "", 10)) == len(before)


@pytest.mark.parametrize("time", EXTREMES)
def test_a_page_may_begin_after_any_time(filled: Store, time: int) -> None:
    following = 0 if time > TIME else 2
    assert len(filled.by_creation(Filter(), (time, "x"), 10)) == following
    assert len(filled.by_completion(Filter(), (time, "x"), 10)) == following
