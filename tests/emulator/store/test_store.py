"""What every store must do: keep, give back, list, forget."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from emulator.engine.events import event
from emulator.engine.model import Activity, Entity, Instance, Timer
from emulator.store import EntityFilter, Filter, Left, Store
from tests.emulator.store.things import (
    TIME,
    asked,
    contents,
    ended,
    instance,
    named,
    names,
)

RUNNING = pb.ORCHESTRATION_STATUS_RUNNING
COMPLETED = pb.ORCHESTRATION_STATUS_COMPLETED
FAILED = pb.ORCHESTRATION_STATUS_FAILED

Reopen = Callable[[], Store]


def full(instance_id: str = "full") -> Instance:
    """Return an instance of which every field has a value of its own."""
    activity = asked(1)
    return instance(
        instance_id,
        name="Örchestrator\n\0",
        status=FAILED,
        version="1.0",
        input='{"é": "\U0001f600"}',
        tags={"a": "b", "ü": ""},
        parent_id="parent",
        parent_task=3,
        scheduled_start=TIME + 2,
        starts_at=TIME + 2,
        output="",
        custom_status='"half"',
        failure=pb.TaskFailureDetails(errorType="E", errorMessage="no"),
        completed_at=TIME + 4,
        history=[named("h1"), activity],
        inbox=[named("i1"), named("i2")],
        waits_for={1: activity},
        rewind=event(TIME, executionRewound=pb.ExecutionRewoundEvent()),
        is_due=True,
        trace=pb.OrchestrationTraceContext(),
        given={(1, TIME): (TIME + 1, TIME + 2)},
    )


def ids(found: list[Instance]) -> list[str]:
    return [one.instance_id for one in found]


def test_an_instance_is_the_same_object_as_long_as_somebody_has_it(store: Store) -> None:
    one = instance()
    store.put(one)
    assert store.instance("i") is one
    one.status, one.completed_at = COMPLETED, TIME
    store.put(one)
    store.keep()
    assert store.instance("i") is one


def test_what_is_unknown_is_none(store: Store) -> None:
    assert store.instance("i") is None
    assert store.entity("@e@k") is None
    store.remove("i")
    store.remove_entity("@e@k")
    store.remove_timer(Timer(TIME, "@e@k", named("x")))
    store.remove_left(Activity("i", asked(1)))


def test_all_of_an_active_instance_is_found_again(store: Store, reopen: Reopen) -> None:
    before = full()
    store.put(before)
    found = list(reopen().active())
    assert [contents(one) for one in found] == [contents(before)]
    assert found[0].waits_for[1] is found[0].history[1]


def test_all_of_an_ended_instance_is_found_again(store: Store, reopen: Reopen) -> None:
    before = full()
    before.waits_for, before.history = {}, [named("h1")]
    store.put(before)
    again = reopen()
    assert list(again.active()) == []
    found = again.instance("full")
    assert found is not None
    assert contents(found) == contents(before)


def test_an_instance_that_has_ended_changes_and_is_found_again(
    store: Store, reopen: Reopen
) -> None:
    store.put(ended(output="1", input="2", history=[named("a")]))
    for number in range(3):
        store = reopen()
        found = store.instance("i")
        assert found is not None
        found.output = str(number)
        found.inbox.append(named(str(number)))
        store.put(found)
    found = reopen().instance("i")
    assert found is not None
    assert (found.input, found.output, names(found.history)) == ("2", "2", ["a"])
    assert names(found.inbox) == ["0", "1", "2"]


def test_output_and_failure_that_are_taken_back_stay_away(store: Store, reopen: Reopen) -> None:
    store.put(ended(status=FAILED, output="1", failure=pb.TaskFailureDetails(errorType="E")))
    store = reopen()
    found = store.instance("i")
    assert found is not None
    found.status, found.output, found.failure = RUNNING, None, None
    store.put(found)
    (again,) = reopen().active()
    assert (again.output, again.failure) == (None, None)


CHANGES = [
    ("", "abc"),
    ("abc", "abcd"),
    ("abc", "c"),
    ("abc", "cde"),
    ("abc", ""),
    ("abc", "ac"),
    ("abc", "acd"),
    ("abc", "xabc"),
    ("abc", "xyz"),
]


@pytest.mark.parametrize("in_steps", [False, True])
@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        *((kind, *change) for kind in ("history", "inbox", "queue") for change in CHANGES),
        ("queue", "abcd", "acbd"),  # Calls of a lock's holder go first.
    ],
)
def test_lists_are_found_as_they_have_become(
    store: Store, reopen: Reopen, kind: str, before: str, after: str, in_steps: bool
) -> None:
    events = {letter: named(letter) for letter in "abcdexyz"}
    one, entity = instance(), Entity("@e@k", TIME)
    item = entity if kind == "queue" else one
    for letters in [before[: n + 1] for n in range(len(before))] if in_steps else [before]:
        setattr(item, kind, [events[letter] for letter in letters])
        store.put(one)
        store.put_entity(entity)
        store.keep()
    setattr(item, kind, [events[letter] for letter in after])
    store.put(one)
    store.put_entity(entity)
    store = reopen()
    found = store.entity("@e@k") if kind == "queue" else store.instance("i")
    assert names(getattr(found, kind)) == [*after]


def test_what_was_given_is_found_again_also_when_it_was_given_twice(
    store: Store, reopen: Reopen
) -> None:
    one = instance()
    for key, times in ((1, (1, 1)), (2, (2, 2)), (1, (1, 3)), (3, (4, 4))):
        one.given.pop((key, 0), None)
        one.given[key, 0] = times
        store.put(one)
        store.keep()
    (found,) = reopen().active()
    assert found.given == {(2, 0): (2, 2), (1, 0): (1, 3), (3, 0): (4, 4)}


def test_a_new_execution_begins_with_nothing_of_the_one_before(
    store: Store, reopen: Reopen
) -> None:
    one = instance(history=[named("a"), asked(1)], given={(1, 0): (1, 1)})
    store.put(one)
    store.keep()
    one.history, one.given, one.inbox = [], {}, [named("b")]
    store.put(one)
    (found,) = reopen().active()
    assert (found.history, found.given, names(found.inbox)) == ([], {}, ["b"])


def test_what_is_removed_stays_away(store: Store, reopen: Reopen) -> None:
    store.put(ended("on disk"))
    store.put_entity(Entity("@e@k", TIME, state="1"))
    store.keep()
    store.put(ended("new"))
    for instance_id in ("on disk", "new"):
        store.remove(instance_id)
        assert store.instance(instance_id) is None
    store.remove_entity("@e@k")
    assert store.entity("@e@k") is None
    assert store.newest(Filter(), 0, 10) == ([], 0)
    again = reopen()
    assert again.instance("on disk") is None
    assert again.entity("@e@k") is None


def test_an_instance_may_take_the_place_of_another(store: Store, reopen: Reopen) -> None:
    store.put(ended(history=[named("old")], input="1", parent_id="p"))
    store.keep()
    store.remove("i")
    store.put(ended(history=[named("new")]))
    found = reopen().instance("i")
    assert found is not None
    assert (names(found.history), found.input, found.parent_id) == (["new"], None, None)


def test_children_are_known_whether_they_run_or_have_ended(store: Store, reopen: Reopen) -> None:
    for name in ("b", "a", "c"):
        store.put(ended(name, parent_id="p"))
    store.put(ended("other", parent_id="q"))
    store.keep()
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
        (Filter(tag=("team", None), prefix="c"), ["c1", "c2"]),
        (Filter(tag=("team", "a")), ["a1", "a2"]),
        (Filter(tag=("tea", None)), []),
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
    lefts = [Left(Activity("i", asked(n)), "2.0") for n in range(3)]
    for timer, left in zip(timers, lefts, strict=True):
        store.put_timer(timer)
        store.leave(left)
    store.remove_timer(timers[0])
    store.remove_left(lefts[0].activity)
    store.keep()
    store.remove_timer(timers[1])
    store.remove_left(lefts[1].activity)
    store = reopen()
    (timer,), (left,) = store.timers(), store.left()
    assert (timer.due, timer.target, names([timer.event])) == (TIME + 2, "@e@k", ["2"])
    assert (left.activity.instance_id, left.version) == ("i", "2.0")
    assert left.activity.scheduled.eventId == 2
    store.remove_timer(timer)
    store.remove_left(left.activity)
    store = reopen()
    assert (list(store.timers()), list(store.left())) == ([], [])
