"""What every store must do: keep, give back, list, forget."""

from __future__ import annotations

from collections import Counter

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.dashboard.progress import TreeProgress
from dts_emulator.engine.events import event
from dts_emulator.engine.model import Activity, Entity, Instance, StepCounts, Summary, Timer
from dts_emulator.store import Filter, Store, reader
from tests.store.things import (
    TIME,
    Reopen,
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
        pending_tasks={1: activity},
        rewind=event(TIME, executionRewound=pb.ExecutionRewoundEvent()),
        owes_turn=True,
        trace=pb.OrchestrationTraceContext(),
        dispatch_times={(1, TIME): (TIME + 1, TIME + 2)},
        summary=Summary(
            StepCounts(Counter(a=2), Counter(a=1), Counter(), TIME, TIME + 1), first_turn_at=TIME
        ),
    )


def test_the_steps_of_what_has_ended_are_known_without_its_history(
    store: Store, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = Summary(StepCounts(asked=Counter(a=3), done=Counter(a=2)), TIME)
    store.put(ended("parent", summary=summary))
    store.put(ended("child", parent_id="parent", history=[named("h")], summary=summary))
    store.flush()
    again = reopen()
    monkeypatch.setattr(reader, "events_of", None)  # It cannot read a history any more.
    parent = again.instance("parent")
    assert parent is not None
    counts = TreeProgress(again).progress(parent)
    assert (counts.asked, counts.done, counts.parts) == (Counter(a=6), Counter(a=4), 1)


def test_an_ended_instance_that_is_put_unread_is_written_once(store: Store, reopen: Reopen) -> None:
    one = ended(history=[named("h1")])
    store.put(one)
    store.flush()
    one.history.append(named("h2"))
    store.put(one)
    store.flush()
    store = reopen()
    again = store.instance("i")
    assert again is not None
    store.put(again)
    store.flush()
    del again
    kept = reopen().instance("i")
    assert kept is not None
    assert names(kept.history) == ["h1", "h2"]


def test_an_instance_is_the_same_object_as_long_as_somebody_has_it(store: Store) -> None:
    one = instance()
    store.put(one)
    assert store.instance("i") is one
    one.status, one.completed_at = COMPLETED, TIME
    store.put(one)
    store.flush()
    assert store.instance("i") is one


def test_what_is_unknown_is_none(store: Store) -> None:
    assert store.instance("i") is None
    assert store.entity("@e@k") is None
    store.remove("i")
    store.remove_entity("@e@k")
    store.remove_timer(Timer(TIME, "@e@k", named("x")))
    store.remove_orphan(Activity("i", asked(1)))


def test_all_of_an_active_instance_is_found_again(store: Store, reopen: Reopen) -> None:
    before = full()
    store.put(before)
    found = list(reopen().active())
    assert [contents(one) for one in found] == [contents(before)]
    assert found[0].pending_tasks[1] is found[0].history[1]


def test_all_of_an_ended_instance_is_found_again(store: Store, reopen: Reopen) -> None:
    before = full()
    before.pending_tasks, before.history = {}, [named("h1")]
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
        store.flush()
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
        one.dispatch_times.pop((key, 0), None)
        one.dispatch_times[key, 0] = times
        store.put(one)
        store.flush()
    (found,) = reopen().active()
    assert found.dispatch_times == {(2, 0): (2, 2), (1, 0): (1, 3), (3, 0): (4, 4)}


def test_a_new_execution_begins_with_nothing_of_the_one_before(
    store: Store, reopen: Reopen
) -> None:
    one = instance(history=[named("a"), asked(1)], dispatch_times={(1, 0): (1, 1)})
    store.put(one)
    store.flush()
    one.history, one.dispatch_times, one.inbox = [], {}, [named("b")]
    store.put(one)
    (found,) = reopen().active()
    assert (found.history, found.dispatch_times, names(found.inbox)) == ([], {}, ["b"])


def test_what_is_removed_stays_away(store: Store, reopen: Reopen) -> None:
    store.put(ended("on disk"))
    store.put_entity(Entity("@e@k", TIME, state="1"))
    store.flush()
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
    store.flush()
    store.remove("i")
    store.put(ended(history=[named("new")]))
    found = reopen().instance("i")
    assert found is not None
    assert (names(found.history), found.input, found.parent_id) == (["new"], None, None)
