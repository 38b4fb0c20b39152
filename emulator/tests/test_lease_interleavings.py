"""Leases under any interleaving of events: no work item is lost, none is doubled."""

from __future__ import annotations

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dts_emulator.hub.leases import Kind, Leases, WorkerStream, WorkItem
from tests.streams import GRACE, new_stream, receive


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
        items = list(self.leases.items())
        assert len(items) == len(self.pending)
        assert {*items} == self.pending
        held = [i for s in self.streams for items in s.held.values() for i in items]
        waiting = [item for queue in self.leases.waiting_items() for item in queue]
        assert len({*held, *waiting}) == len(held) + len(waiting)
        assert {*held} == {item for item in items if item.holder is not None}

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        for stream in self.streams:
            for kind, items in stream.held.items():
                assert len(items) <= stream.limits[kind]

    @invariant()
    def nothing_waits_while_a_worker_is_free_for_it(self) -> None:
        for item, *_ in self.leases.waiting_items():
            takers = [s for s in self.streams if s.accepts(item.kind, item.name, item.version)]
            assert not any(stream.has_room(item.kind) for stream in takers)

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
        assert not list(self.leases.items())


AnyInterleaving.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
test_any_interleaving_completes_each_item_once_or_keeps_it = AnyInterleaving.TestCase
