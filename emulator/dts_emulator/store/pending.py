"""The unsaved changes of a task hub: bookkeeping of saved values, and the rows to write."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from operator import is_
from typing import Any
from weakref import WeakKeyDictionary

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.model import Activity, Entity, Instance, Timer
from dts_emulator.store import OrphanedActivity
from dts_emulator.store.codec import (
    ENTITY_COLUMNS,
    INSTANCE_COLUMNS,
    PART_COLUMNS,
    Dispatch,
    Part,
    body_of,
    entity_row,
    finished_row,
    instance_row,
    is_active,
    stored_time,
)

Item = Instance | Entity

# Rows in one statement: each statement costs a turn of Python's interpreter lock.
ROWS_AT_ONCE = 32


class SavedPrefix:
    """Events on disk, of a list that grows at its end, shrinks at its front, or is replaced.

    Each event has a number; those below `first` are gone from the list.
    """

    def __init__(self, events: Iterable[pb.HistoryEvent] = (), first: int = 0) -> None:
        self._on_disk = deque(events)
        self.first = first

    @property
    def until(self) -> int:
        """The number of the next event."""
        return self.first + len(self._on_disk)

    def advance(
        self, events: Sequence[pb.HistoryEvent], *, may_reorder: bool = False
    ) -> list[pb.HistoryEvent]:
        """Record the current list of events, and return those to be written.

        With `may_reorder`, events in the middle may have changed places.
        """
        known = self._on_disk
        while known and not (events and events[0] is known[0]):
            known.popleft()
            self.first += 1
        if known and not self._goes_on(events, may_reorder):
            self.first += len(known)
            known.clear()
        news = list(events[len(known) :])
        known.extend(news)
        return news

    def _goes_on(self, events: Sequence[pb.HistoryEvent], may_reorder: bool) -> bool:
        known = self._on_disk
        if len(events) < len(known) or events[len(known) - 1] is not known[-1]:
            return False
        return not may_reorder or all(map(is_, known, events))


class SavedDispatchTimes:
    """The saved part of `Instance.dispatch_times`, in which the latest entry comes last."""

    def __init__(self, times: dict[tuple[int, int], tuple[int, int]], until: int = 0) -> None:
        self._times = times
        self._last = times[next(reversed(times))] if times else None
        self.first, self.until = 0, until

    def advance(self, times: dict[tuple[int, int], tuple[int, int]]) -> list[Dispatch]:
        """Record the current dispatch times, and return those to be written."""
        if times is not self._times:
            self._times, self._last, self.first = times, None, self.until
        news: list[Dispatch] = []
        for key in reversed(times):
            if times[key] is self._last:
                break
            news.append((*key, *times[key]))
        if news:
            self._last = times[next(reversed(times))]
            self.until += 1
        return news[::-1]


@dataclass(eq=False)
class Record:
    """The saved values of an instance or entity, whose rows have `number`."""

    number: int
    is_on_disk: bool = False
    history: SavedPrefix = field(default_factory=SavedPrefix)
    inbox: SavedPrefix = field(default_factory=SavedPrefix)
    queue: SavedPrefix = field(default_factory=SavedPrefix)
    dispatch_times: SavedDispatchTimes = field(default_factory=lambda: SavedDispatchTimes({}))
    texts: dict[Part, str | None] = field(default_factory=dict)


@dataclass
class Changes:
    """The changes since the previous ones: rows to delete, then rows to write.

    `until` is the number of the last change, `gone` the IDs of deleted instances and entities.
    The content of parts is not serialised yet.
    """

    until: int
    gone: list[str] = field(default_factory=list)
    removed_instances: list[int] = field(default_factory=list)
    removed_entities: list[int] = field(default_factory=list)
    removed_timers: list[int] = field(default_factory=list)
    removed_orphans: list[int] = field(default_factory=list)
    removed_parts: list[tuple[int, Part, int]] = field(default_factory=list)
    instances: list[list[Any]] = field(default_factory=list)
    entities: list[list[Any]] = field(default_factory=list)
    parts: list[tuple[int, Part, int, Any]] = field(default_factory=list)
    timers: list[tuple[Any, ...]] = field(default_factory=list)
    orphans: list[tuple[Any, ...]] = field(default_factory=list)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all of it, within the caller's transaction."""
        for table, numbers in (
            ("instances", self.removed_instances),
            ("entities", self.removed_entities),
            ("timers", self.removed_timers),
            ("left_activities", self.removed_orphans),
        ):
            _delete(connection, table, "number", numbers)
        _delete(connection, "parts", "owner", [*self.removed_instances, *self.removed_entities])
        connection.executemany(
            "DELETE FROM parts WHERE owner = ? AND kind = ? AND until <= ?", self.removed_parts
        )
        _insert(connection, "instances", INSTANCE_COLUMNS, map(finished_row, self.instances))
        _insert(connection, "entities", ENTITY_COLUMNS, self.entities)
        parts = ((owner, kind, until, body_of(kind, c)) for owner, kind, until, c in self.parts)
        _insert(connection, "parts", PART_COLUMNS, parts)
        timers = (
            (number, hub, stored_time(due), target, event.SerializeToString())
            for number, hub, due, target, event in self.timers
        )
        _insert(connection, "timers", ("number", "hub", "due", "target", "event"), timers)
        orphans = ((*row, event.SerializeToString()) for *row, event in self.orphans)
        names = ("number", "hub", "instance_id", "version", "event")
        _insert(connection, "left_activities", names, orphans)


def id_of(item: Item) -> str:
    """Return the ID of an instance or entity; no two of a task hub are the same."""
    return item.instance_id if isinstance(item, Instance) else item.entity_id


class Pending:
    """Collects numbered changes until they are taken. Called under the lock.

    Args:
        hub: the task hub's number in the file.
        new_number: returns a number for new rows.
    """

    def __init__(self, hub: int, new_number: Callable[[], int]) -> None:
        self.last = 0
        self._hub = hub
        self._new_number = new_number
        self._taken = 0
        self._records: WeakKeyDictionary[Item, Record] = WeakKeyDictionary()
        # By ID, in the order of the last change of each, with its number.
        self._unsaved: dict[str, tuple[int, Item]] = {}
        # By ID: the number of the last removal, and of the rows that do not count any more.
        self._gone: dict[str, tuple[int, tuple[int, ...]]] = {}
        self._timers: dict[Timer, int] = {}
        self._orphans: dict[int, tuple[int, OrphanedActivity]] = {}
        self._next = Changes(0)

    def register_saved(self, item: Item, record: Record) -> None:
        """Record the saved values of an instance or entity that was read."""
        record.is_on_disk = True
        self._records[item] = record

    def put(self, item: Item) -> None:
        """Record a new or changed instance or entity."""
        self.last += 1
        item_id = id_of(item)
        self._unsaved.pop(item_id, None)  # The latest change comes last.
        self._unsaved[item_id] = self.last, item

    def remove(self, item: Item) -> None:
        """Record the deletion of an instance or entity."""
        self.last += 1
        item_id = id_of(item)
        self._unsaved.pop(item_id, None)
        record = self._records.pop(item, None)
        if record is None or not record.is_on_disk:
            return
        _, earlier = self._gone.get(item_id, (0, ()))
        self._gone[item_id] = self.last, (*earlier, record.number)
        is_instance = isinstance(item, Instance)
        removed = self._next.removed_instances if is_instance else self._next.removed_entities
        removed.append(record.number)

    def last_change(self, item_id: str) -> int:
        """Return the number of the last change to an instance or entity, 0 if all are on disk."""
        number, _ = self._unsaved.get(item_id, (0, None))
        return number

    def is_gone(self, item_id: str) -> bool:
        """Return whether the rows of this ID are deleted, but not on disk yet."""
        return item_id in self._gone

    def unsaved(self) -> Iterator[Item]:
        """Return the instances and entities with unsaved changes."""
        return (item for _, item in self._unsaved.values())

    def outdated(self) -> list[int]:
        """Return the numbers of the rows on disk that are outdated or deleted."""
        numbers = [number for _, gone in self._gone.values() for number in gone]
        for item in self.unsaved():
            record = self._records.get(item)
            if record is not None:
                numbers.append(record.number)
        return numbers

    def register_saved_timer(self, number: int, timer: Timer) -> None:
        """Record a timer that was read."""
        self._timers[timer] = number

    def put_timer(self, timer: Timer) -> None:
        """Record a new timer."""
        self.last += 1
        number = self._timers[timer] = self._new_number()
        self._next.timers.append((number, self._hub, timer.due, timer.target, timer.event))

    def remove_timer(self, timer: Timer) -> None:
        """Record the deletion of a timer."""
        number = self._timers.pop(timer, None)
        if number is not None:
            self.last += 1
            self._next.removed_timers.append(number)
            self._next.timers = [row for row in self._next.timers if row[0] != number]

    def register_saved_orphan(self, number: int, orphan: OrphanedActivity) -> None:
        """Record an orphaned activity that was read."""
        self._orphans[id(orphan.activity.scheduled)] = number, orphan

    def keep_orphan(self, orphan: OrphanedActivity) -> None:
        """Record a new orphaned activity."""
        self.last += 1
        number = self._new_number()
        self.register_saved_orphan(number, orphan)
        activity = orphan.activity
        row = (number, self._hub, activity.instance_id, orphan.version, activity.scheduled)
        self._next.orphans.append(row)

    def remove_orphan(self, activity: Activity) -> bool:
        """Record the end of an activity; return whether it was orphaned."""
        number, _ = self._orphans.pop(id(activity.scheduled), (None, None))
        if number is None:
            return False
        self.last += 1
        self._next.removed_orphans.append(number)
        self._next.orphans = [row for row in self._next.orphans if row[0] != number]
        return True

    def take(self) -> Changes | None:
        """Return all changes since the last call, None if there are none."""
        if self.last == self._taken:
            return None
        changes, self._next = self._next, Changes(0)
        taken, self._taken = self._taken, self.last
        changes.until = self.last
        for item in self._untaken(taken):
            record = self._records.get(item)
            if record is None:
                record = self._records[item] = Record(self._new_number())
            record.is_on_disk = True
            if isinstance(item, Instance):
                self._take_instance(item, record, changes)
            else:
                self._take_entity(item, record, changes)
        return changes

    def _untaken(self, taken: int) -> list[Item]:
        latest = takewhile(lambda entry: entry[0] > taken, reversed(self._unsaved.values()))
        return [item for _, item in latest][::-1]

    def written(self, until: int) -> list[Item]:
        """Record the written changes; return the items that can leave the memory."""
        self._gone = {key: gone for key, gone in self._gone.items() if gone[0] > until}
        saved = list(takewhile(lambda entry: entry[0] <= until, self._unsaved.values()))
        for _, item in saved:
            del self._unsaved[id_of(item)]
        return [item for _, item in saved if not is_active(item)]

    def _take_instance(self, instance: Instance, record: Record, changes: Changes) -> None:
        number = record.number
        # First: if they are not read yet, this completes the record.
        history, inbox = instance.history, instance.inbox
        for part, trail, events in (
            (Part.HISTORY, record.history, history),
            (Part.INBOX, record.inbox, inbox),
        ):
            first = trail.first
            news = trail.advance(events)
            if trail.first > first:
                changes.removed_parts.append((number, part, trail.first))
            if news:
                changes.parts.append((number, part, trail.until, news))
        times_first = record.dispatch_times.first
        times = record.dispatch_times.advance(instance.dispatch_times)
        if record.dispatch_times.first > times_first:
            changes.removed_parts.append((number, Part.DISPATCH_TIMES, record.dispatch_times.first))
        if times:
            changes.parts.append((number, Part.DISPATCH_TIMES, record.dispatch_times.until, times))
        for part, value in ((Part.INPUT, instance.input), (Part.OUTPUT, instance.output)):
            if value is record.texts.get(part):
                continue
            record.texts[part] = value
            if value is None:
                changes.removed_parts.append((number, part, 0))
            else:
                changes.parts.append((number, part, 0, value))
        froms = record.history.first, record.inbox.first
        changes.instances.append(instance_row(instance, number, self._hub, froms))

    def _take_entity(self, entity: Entity, record: Record, changes: Changes) -> None:
        trail, number = record.queue, record.number
        first = trail.first
        # After a restart, leased operations are offered again.
        news = trail.advance([*entity.batch, *entity.queue], may_reorder=True)
        if trail.first > first:
            changes.removed_parts.append((number, Part.QUEUE, trail.first))
        if news:
            changes.parts.append((number, Part.QUEUE, trail.until, news))
        changes.entities.append(entity_row(entity, number, self._hub, trail.first))


def _delete(
    connection: sqlite3.Connection, table: str, column: str, numbers: Sequence[int]
) -> None:
    connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", ((n,) for n in numbers))


def _insert(
    connection: sqlite3.Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    """Write rows, replacing those with the same key."""
    remaining = list(rows)
    one = f"({', '.join('?' * len(columns))})"
    for start in range(0, len(remaining), ROWS_AT_ONCE):
        block = remaining[start : start + ROWS_AT_ONCE]
        connection.execute(
            f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) "
            f"VALUES {', '.join([one] * len(block))}",
            [value for row in block for value in row],
        )
