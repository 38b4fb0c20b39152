"""What every store must list: children, pages, entities, timers."""

from __future__ import annotations

import gc

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.model import Activity, Entity, Timer
from dts_emulator.store import EntityFilter, Filter, OrphanedActivity, Store
from tests.store.things import (
    TIME,
    Reopen,
    asked,
    contents,
    ended,
    ids,
    instance,
    named,
    names,
)

RUNNING = pb.ORCHESTRATION_STATUS_RUNNING
COMPLETED = pb.ORCHESTRATION_STATUS_COMPLETED
FAILED = pb.ORCHESTRATION_STATUS_FAILED


def test_children_are_known_whether_they_run_or_have_ended(store: Store, reopen: Reopen) -> None:
    for name in ("b", "a", "c"):
        store.put(ended(name, parent_id="p"))
    store.put(ended("other", parent_id="q"))
    store.flush()
    gc.collect()
    store.put(instance("d", parent_id="p"))
    store.remove("c")
    assert store.children("p") == ["a", "b", "d"]
    again = reopen()
    assert again.children("p") == ["a", "b", "d"]
    assert again.children("unknown") == []


@pytest.fixture
def listed(store: Store, reopen: Reopen) -> Store:
    """Give a store with six instances, half of them on disk for long."""
    names = ["b1", "b2", "a1", "c1", "c2", "a2"]
    for number, name in enumerate(names):
        values = {"created_at": TIME + number // 2, "tags": {"team": name[0]}}
        if number < 3:
            store.put(ended(name, completed_at=TIME + 10 - number, name="Straße", **values))
        else:
            parent = {"parent_id": "b1"} if name == "c2" else {}
            store.put(instance(name, name="other", **values, **parent))
        if number == 2:
            store = reopen()
    return store


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), ["b1", "b2", "a1", "c1", "a2", "c2"]),
        (Filter(statuses=frozenset([COMPLETED])), ["b1", "b2", "a1"]),
        (Filter(statuses=frozenset([COMPLETED, RUNNING])), ["b1", "b2", "a1", "c1", "a2", "c2"]),
        (Filter(prefix="a"), ["a1", "a2"]),
        (Filter(search="STRASSE"), ["b1", "b2", "a1"]),
        (Filter(search="2"), ["b2", "a2", "c2"]),
        (Filter(search="%"), []),
        (Filter(created_from=TIME + 1), ["a1", "c1", "a2", "c2"]),
        (Filter(created_from=TIME + 1, created_to=TIME + 2), ["a1", "c1"]),
        (Filter(completed_from=TIME + 9), ["b1", "b2"]),
        (Filter(completed_to=TIME + 9), ["a1"]),
        (Filter(top_level=True, prefix="c"), ["c1"]),
        (Filter(tag="team", prefix="c"), ["c1", "c2"]),
        (Filter(tag="team=a"), ["a1", "a2"]),
        (Filter(tag="a"), ["a1", "a2"]),
        (Filter(tag="tea"), []),
    ],
)
def test_a_filter_says_which_instances_are_listed(
    listed: Store, wanted: Filter, expected: list[str]
) -> None:
    assert ids(listed.by_creation(wanted, None, 10)) == expected
    page, count = listed.newest(wanted, 0, 10)
    assert (ids(page), count) == (expected[::-1], len(expected))
    assert sum(listed.count_by_status(wanted).values()) == len(expected)


def test_pages_follow_one_another(listed: Store) -> None:
    assert ids(listed.by_creation(Filter(), None, 2)) == ["b1", "b2"]
    assert ids(listed.by_creation(Filter(), (TIME, "b2"), 3)) == ["a1", "c1", "a2"]
    assert ids(listed.by_completion(Filter(), None, 2)) == ["a1", "b2"]
    assert ids(listed.by_completion(Filter(), (TIME + 9, "b2"), 2)) == ["b1"]
    page, count = listed.newest(Filter(), 4, 10)
    assert (ids(page), count) == (["b2", "b1"], 6)
    assert listed.count_by_status(Filter()) == {COMPLETED: 3, RUNNING: 3}


def test_entities_are_found_again_and_listed(store: Store, reopen: Reopen) -> None:
    waiting = Entity("@e@b", TIME + 1, "1", "i", "section", [named("q")], [named("b")])
    store.put_entity(waiting)
    store.put_entity(Entity("@e@a", TIME, state="0"))
    store.put_entity(Entity("@f@a", TIME, locked_by="i"))
    store = reopen()
    found = store.entity("@e@b")
    assert found is not None
    assert contents(found) == contents(waiting)
    assert [one.entity_id for one in store.active_entities()] == ["@e@b"]

    def listed(after: str = "", limit: int = 10, **wanted: object) -> list[str]:
        found = store.entities(EntityFilter(**wanted), after, limit)  # type: ignore[arg-type]
        return [one.entity_id for one in found]

    assert listed() == ["@e@a", "@e@b"]
    assert listed(with_stateless=True) == ["@e@a", "@e@b", "@f@a"]
    assert listed(after="@e@a", with_stateless=True, limit=1) == ["@e@b"]
    assert listed(prefix="@f", with_stateless=True) == ["@f@a"]
    assert listed(modified_from=TIME + 1) == ["@e@b"]
    assert listed(modified_to=TIME + 1) == ["@e@a"]


def test_timers_and_left_activities_are_found_again_until_they_are_over(
    store: Store, reopen: Reopen
) -> None:
    timers = [Timer(TIME + n, "@e@k", named(str(n))) for n in range(3)]
    orphans = [OrphanedActivity(Activity("i", asked(n)), "2.0") for n in range(3)]
    for timer, orphan in zip(timers, orphans, strict=True):
        store.put_timer(timer)
        store.keep_orphan(orphan)
    store.remove_timer(timers[0])
    store.remove_orphan(orphans[0].activity)
    store.flush()
    store.remove_timer(timers[1])
    store.remove_orphan(orphans[1].activity)
    store = reopen()
    (timer,), (orphan,) = store.timers(), store.orphans()
    assert (timer.due, timer.target, names([timer.event])) == (TIME + 2, "@e@k", ["2"])
    assert (orphan.activity.instance_id, orphan.version) == ("i", "2.0")
    assert orphan.activity.scheduled.eventId == 2
    store.remove_timer(timer)
    store.remove_orphan(orphan.activity)
    store = reopen()
    assert (list(store.timers()), list(store.orphans())) == ([], [])
