"""Leases: who holds which work item, whatever happens in which order."""

from __future__ import annotations

import itertools

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.hub.leases import ABANDON_BACKOFF_SECONDS, Kind, Leases, WorkerStream, WorkItem
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.hub.worker_api import Workers, worker_stream_from
from tests.processes import wait_until
from tests.streams import GRACE, new_stream, receive


def offer(leases: Leases, name: str = "work", kind: Kind = Kind.ACTIVITY) -> WorkItem:
    return leases.offer(kind, name, "", subject=None)


@pytest.fixture
def leases() -> Leases:
    return Leases(GRACE, itertools.count(1))


@pytest.fixture
def stream(leases: Leases) -> WorkerStream:
    stream = new_stream()
    leases.connect(stream)
    return stream


def test_an_item_waits_until_a_worker_connects(leases: Leases) -> None:
    item = offer(leases)
    assert leases.waiting() == 1
    stream = new_stream()
    leases.connect(stream)
    assert receive(stream) == [item]
    assert leases.waiting() == 0


def test_only_the_first_completion_counts(leases: Leases, stream: WorkerStream) -> None:
    item = offer(leases)
    assert leases.complete(item.token) is item
    assert leases.complete(item.token) is None


def test_an_unknown_token_completes_and_abandons_nothing(leases: Leases) -> None:
    assert leases.complete("unknown") is None
    assert leases.abandon("unknown", now=0) is None


@pytest.mark.parametrize("kind", Kind)
def test_a_stream_holds_no_more_than_it_asks_for(leases: Leases, kind: Kind) -> None:
    stream = new_stream(limit=2)
    leases.connect(stream)
    items = [offer(leases, kind=kind) for _ in range(5)]
    assert receive(stream) == items[:2]
    leases.complete(items[1].token)
    assert receive(stream) == items[2:3]


def test_a_full_stream_of_activities_still_takes_orchestrators(leases: Leases) -> None:
    stream = new_stream(limit=1)
    leases.connect(stream)
    offer(leases), offer(leases)
    turn = offer(leases, kind=Kind.ORCHESTRATOR)
    assert turn in receive(stream)


def test_streams_share_the_items_evenly(leases: Leases) -> None:
    streams = [new_stream(limit=50) for _ in range(3)]
    for stream in streams:
        leases.connect(stream)
    for _ in range(30):
        offer(leases)
    assert [len(receive(stream)) for stream in streams] == [10, 10, 10]


def test_an_item_goes_to_a_stream_that_accepts_it(leases: Leases) -> None:
    left, right = new_stream(names={"left"}), new_stream(names={"right"})
    leases.connect(left)
    leases.connect(right)
    first, second, nobody = offer(leases, "right"), offer(leases, "left"), offer(leases, "other")
    assert receive(left) == [second]
    assert receive(right) == [first]
    assert nobody.holder is None
    assert leases.waiting() == 1


def test_an_item_nobody_accepts_does_not_block_those_behind_it(leases: Leases) -> None:
    stream = new_stream(names={"wanted"})
    offer(leases, "unwanted")
    wanted = offer(leases, "wanted")
    leases.connect(stream)
    assert receive(stream) == [wanted]


def test_names_take_turns_so_that_a_long_queue_of_one_holds_up_no_other(leases: Leases) -> None:
    for name in ("work", "work", "work", "aggregate"):
        offer(leases, name)
    stream = new_stream(limit=1)
    leases.connect(stream)
    names = []
    while received := receive(stream):
        names.append(received[0].name)
        leases.complete(received[0].token)
    assert names == ["work", "aggregate", "work", "work"]


def test_after_the_grace_an_item_goes_to_another_worker(
    leases: Leases, stream: WorkerStream
) -> None:
    item = offer(leases)
    receive(stream)
    other = new_stream()
    leases.connect(other)
    assert leases.disconnect(stream, now=10) == 10 + GRACE
    leases.expire(now=10 + GRACE - 0.1)
    assert receive(other) == []
    leases.expire(now=10 + GRACE)
    assert receive(other) == [item]


def test_a_worker_may_complete_its_items_within_the_grace(
    leases: Leases, stream: WorkerStream
) -> None:
    item = offer(leases)
    receive(stream)
    leases.disconnect(stream, now=10)
    assert leases.complete(item.token) is item
    leases.expire(now=1000)
    assert leases.waiting() == 0


def test_what_a_worker_has_not_been_sent_goes_to_another_at_once(
    leases: Leases, stream: WorkerStream
) -> None:
    item = offer(leases)
    other = new_stream()
    leases.connect(other)
    assert leases.disconnect(stream, now=10) is None
    assert receive(other) == [item]


def test_a_worker_that_stays_connected_keeps_its_items(
    leases: Leases, stream: WorkerStream
) -> None:
    item = offer(leases)
    leases.expire(now=1e12)
    assert item.holder is stream


def test_items_that_come_back_keep_their_turn(leases: Leases, stream: WorkerStream) -> None:
    items = [offer(leases) for _ in range(5)]
    receive(stream)
    leases.disconnect(stream, now=0)
    later = offer(leases)
    leases.expire(now=GRACE)
    other = new_stream()
    leases.connect(other)
    assert receive(other) == [*items, later]


def test_what_a_worker_leaves_goes_on_in_the_order_in_which_it_was_offered(
    leases: Leases, stream: WorkerStream
) -> None:
    names = [f"name {number}" for number in range(100)]
    for name in names:
        offer(leases, name)
    receive(stream)
    leases.disconnect(stream, 0)
    leases.expire(GRACE)
    another = new_stream()
    leases.connect(another)
    assert [item.name for item in receive(another)] == names


def test_the_late_result_of_an_activity_counts_while_nobody_has_been_faster(
    leases: Leases, stream: WorkerStream
) -> None:
    item = offer(leases)
    first_token = item.token
    receive(stream)
    leases.disconnect(stream, now=0)
    leases.expire(now=GRACE)
    leases.connect(new_stream())
    second_token = item.token
    assert leases.complete(first_token) is item
    assert leases.complete(second_token) is None


@pytest.mark.parametrize("kind", [Kind.ORCHESTRATOR, Kind.ENTITY])
def test_the_late_answer_to_an_earlier_turn_does_not_count(
    leases: Leases, stream: WorkerStream, kind: Kind
) -> None:
    item = offer(leases, kind=kind)
    first_token = item.token
    receive(stream)
    leases.disconnect(stream, now=0)
    leases.expire(now=GRACE)
    assert leases.complete(first_token) is None
    assert leases.complete(item.token) is item


@pytest.mark.parametrize("kind", Kind)
def test_an_abandoned_item_goes_to_another_worker_at_once(
    leases: Leases, stream: WorkerStream, kind: Kind
) -> None:
    item = offer(leases, kind=kind)
    receive(stream)
    other = new_stream()
    leases.connect(other)
    for _ in range(5):
        offer(leases, kind=kind)
    receive(other)
    assert leases.abandon(item.token, now=0) is None
    assert receive(other) == [item]


def test_an_item_that_is_given_back_again_rests(leases: Leases, stream: WorkerStream) -> None:
    item = offer(leases)
    leases.abandon(item.token, now=0)
    assert item.holder is stream
    assert leases.abandon(item.token, now=0) == ABANDON_BACKOFF_SECONDS
    assert item.holder is None
    leases.expire(now=ABANDON_BACKOFF_SECONDS)
    assert item.holder is stream


def test_a_worker_gets_other_work_while_what_it_gave_back_rests(leases: Leases) -> None:
    stream = new_stream(limit=1)
    leases.connect(stream)
    refused, other = offer(leases), offer(leases)
    leases.abandon(refused.token, now=0)
    leases.abandon(refused.token, now=0)
    assert other.holder is stream


def test_an_earlier_holder_cannot_abandon_for_the_present_one(
    leases: Leases, stream: WorkerStream
) -> None:
    item = offer(leases)
    old_token = item.token
    receive(stream)
    leases.disconnect(stream, now=0)
    leases.expire(now=GRACE)
    other = new_stream()
    leases.connect(other)
    leases.abandon(old_token, now=GRACE)
    assert item.holder is other


def test_a_stream_ends_once(leases: Leases, stream: WorkerStream) -> None:
    assert leases.has(stream)
    assert leases.streams == 1
    leases.disconnect(stream, now=0)
    assert leases.disconnect(stream, now=0) is None
    assert not leases.has(stream)
    assert stream.outbox.get_nowait() is None


# When a task hub looks at its leases again: never before they are over


# Times at which a grace of 0.05 s, added as a float, ends later than the same in whole nanoseconds.
TIMES = [1_790_371_269_849_576_330, 1_790_498_593_116_432_391, 1_790_280_928_754_111_609]


@pytest.mark.parametrize("begin", TIMES)
def test_an_item_that_rests_goes_on_when_the_timer_says_so(begin: int) -> None:
    time = [begin]
    hub = TaskHub("hub", lease_grace=0.05, clock=lambda: time[0])
    workers = Workers(hub)
    stream = worker_stream_from(pb.GetWorkItemsRequest())
    with hub.lock:
        hub.create_instance(_started())
        hub.leases.connect(stream)
        stream.outbox.get_nowait()
    workers.disconnect(stream)
    assert hub.leases.waiting() == 0
    due = hub.timers.next_due()
    assert due is not None
    time[0] = due
    hub.timers.wake()
    wait_until(lambda: hub.leases.waiting() == 1, "it waits for another worker", seconds=20)
    hub.close()


def _started() -> pb.ExecutionStartedEvent:
    instance = pb.OrchestrationInstance(instanceId="id")
    return pb.ExecutionStartedEvent(name="o", orchestrationInstance=instance)
