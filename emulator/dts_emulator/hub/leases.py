"""Which worker holds which work item: queues, leases and limits of one task hub.

Pure bookkeeping: no clock, no thread and no lock of its own. The task hub calls it
under its lock and passes the time in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from queue import Empty, SimpleQueue

from dts_emulator.hub.work_record import WorkRecord

# How long an item rests that workers keep giving back, so that they do not spin on it.
ABANDON_BACKOFF_SECONDS = 1.0


class Kind(Enum):
    """What a work item asks a worker to run."""

    ORCHESTRATOR = "orchestrator"
    ACTIVITY = "activity"
    ENTITY = "entity"

    # Every step looks kinds up, and Enum's own hash is slow.
    __hash__ = object.__hash__


@dataclass(eq=False)
class WorkItem:
    """A unit of work. `subject` is what the task hub needs to build its message.

    `token` is the completion token of the present lease, `earlier_tokens` are those of earlier
    ones with which it may still be completed. It waits since `waits_since`, and its holder was
    sent it at `dispatched_at`, in seconds since 1970. `is_withdrawn`: only its holder may be at it.
    """

    kind: Kind
    name: str
    version: str
    token: str
    subject: object
    order: int = 0
    holder: WorkerStream | None = None
    last_holder: WorkerStream | None = None
    earlier_tokens: list[str] = field(default_factory=list)
    abandoned: int = 0
    waits_since: float = 0.0
    dispatched_at: float | None = None
    is_withdrawn: bool = False


@dataclass(eq=False)
class WorkerStream:
    """A worker's connection: what it accepts, how much it may hold, and what is on its way to it.

    `streams_history`: it can fetch a long history by a call of its own.
    `has_gone`: its end has come, perhaps before it was connected.

    `outbox` ends with None once the stream is closed. An item in it counts only while its
    holder is this stream: a late answer from an earlier holder may have completed it.

    `names` are those that `accepts` takes of each kind, None for all; `record` is what it has
    done so far.
    """

    limits: dict[Kind, int]
    accepts: Callable[[Kind, str, str], bool]
    streams_history: bool = False
    has_gone: bool = False
    names: dict[Kind, list[str]] | None = None
    peer: str = ""
    record: WorkRecord = field(default_factory=WorkRecord)
    outbox: SimpleQueue[WorkItem | None] = field(default_factory=SimpleQueue)
    held: dict[Kind, set[WorkItem]] = field(default_factory=lambda: {kind: set() for kind in Kind})

    def has_room(self, kind: Kind) -> bool:
        """Return whether the worker may take one more work item of this kind."""
        return len(self.held[kind]) < self.limits[kind]


class Leases:
    """The work items of one task hub, from being offered to being completed.

    An item waits, or is leased to a stream, or rests: its stream has ended and the worker may
    still complete it until the grace is over, or workers keep giving it back. Completing
    removes it; whatever happens in between, it is never lost and never in two places.

    Args:
        grace: seconds an item has to be completed after its stream has ended.
        numbers: where the completion tokens come from; none may come twice.
    """

    def __init__(self, grace: float, numbers: Iterator[int]) -> None:
        self._grace = grace
        self._numbers = numbers
        self._items: dict[str, WorkItem] = {}
        self._waiting: dict[tuple[Kind, str, str], deque[WorkItem]] = {}
        self._resting: dict[WorkItem, float] = {}
        self._streams: list[WorkerStream] = []
        self._turns: dict[tuple[Kind, str, str], int] = {}

    @property
    def streams(self) -> int:
        """How many worker streams are connected."""
        return len(self._streams)

    @property
    def connected(self) -> Sequence[WorkerStream]:
        """The worker streams that are connected, the oldest first."""
        return self._streams

    def has(self, stream: WorkerStream) -> bool:
        """Return whether the stream is connected."""
        return stream in self._streams

    def close(self) -> None:
        """End every stream."""
        for stream in self._streams:
            stream.outbox.put(None)

    def waiting(self) -> int:
        """Return how many work items no worker has taken yet."""
        return sum(len(queue) for queue in self._waiting.values())

    def waiting_items(self) -> Iterator[Sequence[WorkItem]]:
        """Yield the items that wait, those of one name and version at a time."""
        return (queue for queue in self._waiting.values() if queue)

    def offer(
        self, kind: Kind, name: str, version: str, subject: object, now: float = 0.0
    ) -> WorkItem:
        """Add a new work item and lease it at once if a worker has room for it."""
        number = next(self._numbers)
        item = WorkItem(kind, name, version, str(number), subject, order=number, waits_since=now)
        self._items[item.token] = item
        self._enqueue(item)
        self._dispatch(kind)
        return item

    def connect(self, stream: WorkerStream) -> None:
        """Let a stream take part, and fill it with what waits."""
        self._streams.append(stream)
        for kind in Kind:
            self._dispatch(kind)

    def disconnect(self, stream: WorkerStream, now: float) -> float | None:
        """End a stream. Return when `expire` must be called, None if it leaves nothing.

        What it had not been sent yet waits again at once; the rest has the grace to be
        completed by the worker, which may still be alive.
        """
        if stream not in self._streams:
            return None
        self._streams.remove(stream)
        unsent = set(_drain(stream.outbox))
        stream.outbox.put(None)
        held = sorted((i for items in stream.held.values() for i in items), key=lambda i: i.order)
        for item in held:
            self._unlease(item)
            if item in unsent:
                self._enqueue(item)
            else:
                self._resting[item] = now + self._grace
        for kind in Kind:
            self._dispatch(kind)
        return now + self._grace if set(held) - unsent else None

    def find(self, token: str) -> WorkItem | None:
        """Return the work item of a completion token, None if it was completed or withdrawn."""
        return self._items.get(token)

    def items(self) -> Iterable[WorkItem]:
        """Return all work items, those that wait and those that are leased."""
        return (item for token, item in self._items.items() if item.token == token)

    def complete(self, token: str) -> WorkItem | None:
        """Remove a work item. Return None if it was completed or withdrawn before."""
        item = self._items.get(token)
        if item is None:
            return None
        for valid in (item.token, *item.earlier_tokens):
            del self._items[valid]
        if item.holder is not None:
            self._unlease(item)
        elif self._resting.pop(item, None) is None:
            key = item.kind, item.name, item.version
            self._waiting[key].remove(item)
            self._forget_if_empty(key)
        self._dispatch(item.kind)
        return item

    def abandon(self, token: str, now: float) -> float | None:
        """Give a leased work item back before it is done. Return when `expire` must be called.

        The first time it waits again at once, for another worker if there is one. An item that
        is given back again and again rests in between.
        """
        item = self._items.get(token)
        is_leased = item is not None and (item.holder is not None or item in self._resting)
        if item is None or item.token != token or not is_leased:
            return None
        self._unlease(item)
        self._resting.pop(item, None)
        item.abandoned += 1
        if item.abandoned == 1:
            self._requeue(item)
            return None
        self._resting[item] = now + ABANDON_BACKOFF_SECONDS
        self._dispatch(item.kind)
        return now + ABANDON_BACKOFF_SECONDS

    def expire(self, now: float) -> None:
        """Let the items wait for a worker that have rested long enough."""
        for item in [item for item, end in self._resting.items() if end <= now]:
            del self._resting[item]
            self._requeue(item)

    def _requeue(self, item: WorkItem) -> None:
        """Let an item wait again, for a new lease with a new token."""
        if item.kind is Kind.ACTIVITY:
            # An activity is the same whenever it runs: its first result counts, whoever has it.
            item.earlier_tokens.append(item.token)
        else:
            # The next dispatch may carry more events, so an answer to this one must not count.
            del self._items[item.token]
        item.token = str(next(self._numbers))
        self._items[item.token] = item
        self._enqueue(item)
        self._dispatch(item.kind)

    def _enqueue(self, item: WorkItem) -> None:
        """Queue an item in the order in which it was offered, whenever it comes back."""
        queue = self._waiting.setdefault((item.kind, item.name, item.version), deque())
        if queue and queue[-1].order > item.order:
            queue.insert(_position(queue, item.order), item)
        else:
            queue.append(item)

    def _unlease(self, item: WorkItem) -> None:
        if item.holder is not None:
            item.holder.held[item.kind].discard(item)
            item.last_holder, item.holder, item.dispatched_at = item.holder, None, None

    def _dispatch(self, kind: Kind) -> None:
        """Lease waiting items, each to the least busy stream that accepts it.

        Names take turns, so that a long queue of one does not hold up another; the items of
        one name go oldest first.
        """
        while lease := self._next_lease(kind):
            key, stream = lease
            self._turns[key] = next(self._numbers)
            item = self._waiting[key].popleft()
            self._forget_if_empty(key)
            item.holder = stream
            stream.held[kind].add(item)
            stream.outbox.put(item)

    def _forget_if_empty(self, key: tuple[Kind, str, str]) -> None:
        """Keep nothing of a name that no item has any more: there is no end to names."""
        if not self._waiting[key]:
            del self._waiting[key]
            self._turns.pop(key, None)

    def _next_lease(self, kind: Kind) -> tuple[tuple[Kind, str, str], WorkerStream] | None:
        free = [stream for stream in self._streams if stream.has_room(kind)]
        if not free:
            return None
        keys = [key for key, queue in self._waiting.items() if queue and key[0] is kind]
        for key in sorted(keys, key=lambda key: self._turns.get(key, 0)):
            takers = [stream for stream in free if stream.accepts(*key)]
            if takers:
                return key, min(takers, key=partial(_load_rank, self._waiting[key][0]))
        return None


def _load_rank(item: WorkItem, stream: WorkerStream) -> tuple[bool, int]:
    """Rank a stream: one that has had the item before comes last, then the busiest."""
    return stream is item.last_holder, len(stream.held[item.kind])


def _position(queue: deque[WorkItem], order: int) -> int:
    return next(index for index, item in enumerate(queue) if item.order > order)


def _drain(outbox: SimpleQueue[WorkItem | None]) -> list[WorkItem]:
    items: list[WorkItem] = []
    while True:
        try:
            item = outbox.get_nowait()
        except Empty:
            return items
        if item is not None:
            items.append(item)
