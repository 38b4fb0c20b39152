"""Leases: who holds which work item, whatever happens in which order."""

from __future__ import annotations

import itertools
from queue import Empty

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emulator.leases import REST_SECONDS, Kind, Leases, WorkerStream, WorkItem

GRACE = 5.0


def new_stream(limit: int = 1000, *, names: set[str] | None = None) -> WorkerStream:
    """Return a stream that holds at most `limit` items of each kind, of `names` or of any."""
    return WorkerStream(
        limits=dict.fromkeys(Kind, limit),
        accepts=lambda _kind, name, _version: names is None or name in names,
    )


def offer(leases: Leases, name: str = "work", kind: Kind = Kind.ACTIVITY) -> WorkItem:
    return leases.offer(kind, name, "", subject=None)


def receive(stream: WorkerStream) -> list[WorkItem]:
    """Return what the worker at the end of a stream would get now."""
    received: list[WorkItem] = []
    while True:
        try:
            item = stream.outbox.get_nowait()
        except Empty:
            return received
        if item is not None and item.holder is stream:
            received.append(item)


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
    assert leases.abandon(item.token, now=0) == REST_SECONDS
    assert item.holder is None
    leases.expire(now=REST_SECONDS)
    assert item.holder is stream


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


class AnyInterleaving(RuleBasedStateMachine):
    """Workers come, go, complete, abandon and time out in any order.

    Each item must end up completed exactly once or be in exactly one place.
    """

    def __init__(self) -> None:
        super().__init__()
        self.leases = Leases(GRACE, itertools.count(1))
        self.now = 0.0
        self.streams: list[WorkerStream] = []
        self.pending: set[WorkItem] = set()
        self.completed: set[WorkItem] = set()
        self.seen_tokens: list[tuple[str, WorkItem]] = []

    @rule(kind=st.sampled_from(Kind), name=st.sampled_from("ab"))
    def offer(self, kind: Kind, name: str) -> None:
        self.pending.add(self.leases.offer(kind, name, "", None))

    @rule(limit=st.integers(1, 3), names=st.sampled_from([{"a"}, {"b"}, {"a", "b"}]))
    def connect(self, limit: int, names: set[str]) -> None:
        stream = new_stream(limit, names=names)
        self.leases.connect(stream)
        self.streams.append(stream)

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def receive(self, data: st.DataObject) -> None:
        for item in receive(data.draw(st.sampled_from(self.streams))):
            assert item in self.pending, "an item was sent that is completed"
            assert item.token not in dict(self.seen_tokens), "a lease was sent twice"
            self.seen_tokens.append((item.token, item))

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from(self.streams))
        self.streams.remove(stream)
        self.leases.disconnect(stream, self.now)

    @precondition(lambda self: self.seen_tokens)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        """Complete with any token a worker has ever had: also twice, also late."""
        token, item = data.draw(st.sampled_from(self.seen_tokens))
        done = self.leases.complete(token)
        if done is not None:
            assert done is item
            assert item not in self.completed, "an item was completed twice"
            self.completed.add(item)
            self.pending.remove(item)

    @precondition(lambda self: self.seen_tokens)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        token, _ = data.draw(st.sampled_from(self.seen_tokens))
        self.leases.abandon(token, self.now)

    @rule(seconds=st.floats(0, 2 * GRACE))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds
        self.leases.expire(self.now)

    @invariant()
    def each_pending_item_is_in_one_place(self) -> None:
        held = [i for s in self.streams for items in s.held.values() for i in items]
        waiting = [item for queue in self.leases._waiting.values() for item in queue]
        assert len(held) + len(waiting) + len(self.leases._resting) == len(self.pending)
        assert {*held, *waiting, *self.leases._resting} == self.pending

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        for stream in self.streams:
            for kind, items in stream.held.items():
                assert len(items) <= stream.limits[kind]

    @invariant()
    def nothing_waits_while_a_worker_is_free_for_it(self) -> None:
        for (kind, name, version), queue in self.leases._waiting.items():
            if queue:
                takers = [s for s in self.streams if s.accepts(kind, name, version)]
                assert not any(stream.has_room(kind) for stream in takers)

    def teardown(self) -> None:
        """Whatever has happened: two good workers finish the rest, each item once."""
        for stream in self.streams:
            self.leases.disconnect(stream, self.now)
        self.leases.expire(self.now + 2 * GRACE)
        rescuer = new_stream()
        self.leases.connect(rescuer)
        finished = [self.leases.complete(item.token) for item in receive(rescuer)]
        assert set(finished) == self.pending
        assert len(finished) == len(self.pending)
        assert not self.leases._items


AnyInterleaving.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
test_any_interleaving_completes_each_item_once_or_keeps_it = AnyInterleaving.TestCase
