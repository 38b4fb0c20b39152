"""The queues and leases of one task hub's work items, and the limits of its workers.

Pure bookkeeping without clock, thread or lock: the task hub calls it under its lock and passes
the time in.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from queue import Empty, SimpleQueue

# The delay before a repeatedly abandoned item is offered again, so that workers do not spin on it.
ABANDON_BACKOFF_SECONDS = 1.0

# The time span of a worker's rate.
PACE_SECONDS = 10


class Kind(Enum):
    """The kind of code that a work item runs."""

    ORCHESTRATOR = "orchestrator"
    ACTIVITY = "activity"
    ENTITY = "entity"

    # Every step looks up kinds, and Enum's own hash is slow.
    __hash__ = object.__hash__


@dataclass(eq=False)
class WorkItem:
    """A unit of work. `subject` is the instance ID, activity or entity ID that it is about.

    `token` is the completion token of the current lease, `earlier_tokens` are those of earlier
    leases that remain valid. It was queued at `waits_since` and sent to its holder at
    `dispatched_at`, in seconds since 1970. `is_withdrawn`: no worker but its holder may run it.
    `change` is the number of the change that must be saved before a worker gets it.
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
    change: int = 0


@dataclass
class WorkRecord:
    """The completions of one worker. Times are in seconds since 1970.

    `connected_at` is the start of its stream, `answered_at` the time of its last completion.
    `completed` counts completions by kind of work item.
    """

    connected_at: float = 0.0
    answered_at: float | None = None
    completed: Counter[str] = field(default_factory=Counter)
    _recent: deque[tuple[int, int]] = field(default_factory=deque)

    def note(self, kind: str, now: float) -> None:
        """Record the completion of a work item of this kind."""
        self.answered_at = now
        self.completed[kind] += 1
        second = int(now)
        count = self._recent.pop()[1] if self._recent and self._recent[-1][0] == second else 0
        self._recent.append((second, count + 1))
        while self._recent[0][0] <= second - PACE_SECONDS:
            self._recent.popleft()

    def per_second(self, now: float) -> float:
        """Return the recent number of completions per second."""
        count = sum(number for second, number in self._recent if second > now - PACE_SECONDS)
        return count / min(PACE_SECONDS, max(now - self.connected_at, 1.0))


@dataclass(eq=False)
class WorkerStream:
    """A worker's connection: its filters, its limits and its outgoing items.

    `streams_history`: it can fetch a long history with a separate call.
    `has_gone`: it has ended, perhaps before it was connected.

    `outbox` ends with None once the stream is closed. An item in it is valid only while its
    holder is this stream: a late answer from an earlier holder may have completed it.

    `names` lists the names that `accepts` takes of each kind, None for all.
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

    An item is queued, leased to a stream, or resting: its stream has ended and the worker may
    still complete it within the grace period, or workers repeatedly abandon it. Completion
    removes it. Until then it is never lost and never in two of these states.

    Args:
        grace: seconds in which an item can still be completed after its stream has ended.
        numbers: the source of completion tokens; it must not repeat any.
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
        """Return the number of queued work items."""
        return sum(len(queue) for queue in self._waiting.values())

    def waiting_items(self) -> Iterator[Sequence[WorkItem]]:
        """Yield the queued items, those of one name and version at a time."""
        return (queue for queue in self._waiting.values() if queue)

    def offer(
        self, kind: Kind, name: str, version: str, subject: object, now: float = 0.0
    ) -> WorkItem:
        """Add a new work item, and lease it immediately if a worker has capacity."""
        number = next(self._numbers)
        item = WorkItem(kind, name, version, str(number), subject, order=number, waits_since=now)
        self._items[item.token] = item
        self._enqueue(item)
        self._dispatch(kind)
        return item

    def connect(self, stream: WorkerStream) -> None:
        """Add a stream, and lease queued items to it."""
        self._streams.append(stream)
        for kind in Kind:
            self._dispatch(kind)

    def disconnect(self, stream: WorkerStream, now: float) -> float | None:
        """Remove a stream. Return when `expire` must be called, None if no item rests.

        Items that were not sent yet are requeued immediately; the worker, which may still be
        alive, can complete the others within the grace period.
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
        """Return all work items, queued, leased and resting."""
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
        """Abandon a leased work item. Return when `expire` must be called.

        The first time it is requeued immediately, for another worker if there is one. A
        repeatedly abandoned item rests in between.
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
        """Requeue the items whose rest is over."""
        for item in [item for item, end in self._resting.items() if end <= now]:
            del self._resting[item]
            self._requeue(item)

    def _requeue(self, item: WorkItem) -> None:
        """Queue an item again, with a new token for its next lease."""
        if item.kind is Kind.ACTIVITY:
            # An activity does not change between leases: the first result counts, from any worker.
            item.earlier_tokens.append(item.token)
        else:
            # The next dispatch may contain more events, so an answer to this one must be ignored.
            del self._items[item.token]
        item.token = str(next(self._numbers))
        self._items[item.token] = item
        self._enqueue(item)
        self._dispatch(item.kind)

    def _enqueue(self, item: WorkItem) -> None:
        """Queue an item in the order of the first offers."""
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
        """Lease queued items, each to the least busy stream that accepts it.

        Names take turns, so that the long queue of one does not delay another; within a name,
        the oldest item comes first.
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
        """Remove a name without items: the number of names is unlimited."""
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
    """Rank a stream: the item's last holder comes last, otherwise the busiest."""
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
