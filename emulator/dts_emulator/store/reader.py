"""Reads instances and entities of one task hub from a state file, what is large only when asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.message import DecodeError

from dts_emulator.engine.errors import UnavailableError
from dts_emulator.engine.events import unanswered
from dts_emulator.engine.model import Activity, Entity, Instance, Timer
from dts_emulator.store import OrphanedActivity
from dts_emulator.store.codec import (
    ENTITY_COLUMNS,
    INSTANCE_COLUMNS,
    Part,
    damaged_values,
    dispatch_times_of,
    event_of,
    events_of,
    instance_values,
    time_of_stored,
)
from dts_emulator.store.trail import SavedDispatchTimes, SavedPrefix


@contextmanager
def _unavailable_on_error() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, DecodeError, ValueError, TypeError, KeyError) as error:
        raise UnavailableError(f"The emulator cannot read its state file: {error}.") from error


@dataclass(eq=False)
class Record:
    """What is on disk of an instance or entity, whose rows have `number`."""

    number: int
    is_on_disk: bool = False
    history: SavedPrefix = field(default_factory=SavedPrefix)
    inbox: SavedPrefix = field(default_factory=SavedPrefix)
    queue: SavedPrefix = field(default_factory=SavedPrefix)
    dispatch_times: SavedDispatchTimes = field(default_factory=lambda: SavedDispatchTimes({}))
    texts: dict[Part, str | None] = field(default_factory=dict)


class LazyInstance(Instance):
    """An instance from the file. What is large is read when it is first looked at."""

    read_more: Callable[[], dict[str, Any]]


class _Large:
    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, stored: LazyInstance | None, _: type[LazyInstance]) -> Any:
        if stored is None:
            return self
        values = vars(stored)
        if self._name not in values:
            values.update(stored.read_more())
        return values[self._name]

    def __set__(self, stored: LazyInstance, value: Any) -> None:
        # What is overwritten must not be read afterwards.
        self.__get__(stored, type(stored))
        vars(stored)[self._name] = value


_STATUS, _IS_ACTIVE, _HISTORY_FROM, _INBOX_FROM = map(
    INSTANCE_COLUMNS.index, ("status", "is_active", "history_from", "inbox_from")
)
_WAITS_FOR_NOTHING = (pb.ORCHESTRATION_STATUS_COMPLETED, pb.ORCHESTRATION_STATUS_TERMINATED)

for _name in ("history", "inbox", "dispatch_times", "pending_tasks", "input", "output"):
    setattr(LazyInstance, _name, _Large(_name))


class Reader:
    """Reads what one task hub has in a state file. Called under the task hub's lock.

    Raises:
        UnavailableError: from every method, when the file cannot be read.
    """

    def __init__(self, connection: sqlite3.Connection, hub: int) -> None:
        self._connection = connection
        self._hub = hub

    @_unavailable_on_error()
    def rows(self, sql: str, *values: object) -> list[Any]:
        """Return the rows of a query; the task hub's number is its first value."""
        return self._connection.execute(sql, (self._hub, *values)).fetchall()

    @_unavailable_on_error()
    def instance(self, instance_id: str) -> tuple[LazyInstance, Record] | None:
        """Return an instance, None if the file has none with this ID."""
        columns = ", ".join(INSTANCE_COLUMNS)
        rows = self.rows(f"SELECT {columns} FROM instances WHERE hub = ? AND id = ?", instance_id)
        return self.instance_of(rows[0]) if rows else None

    @_unavailable_on_error()
    def instance_of(self, row: Sequence[Any]) -> tuple[LazyInstance, Record]:
        """Return the instance of a row of INSTANCE_COLUMNS, and its record."""
        record = Record(row[0])

        @_unavailable_on_error()
        def read_more() -> dict[str, Any]:
            parts = self._connection.execute(
                "SELECT kind, until, body FROM parts WHERE owner = ? ORDER BY kind, until",
                (record.number,),
            ).fetchall()
            return _large_values(row, record, parts)

        try:
            values = {"problem": None, **instance_values(row)}
        except (DecodeError, ValueError, TypeError, KeyError) as error:
            if row[_IS_ACTIVE]:
                raise
            # Only what is still to come of an instance must be readable.
            values = damaged_values(row, f"{type(error).__name__}: {error}")
        stored = LazyInstance.__new__(LazyInstance)
        vars(stored).update(values, turn=None, read_more=read_more)
        return stored, record

    @_unavailable_on_error()
    def active_instances(self) -> list[tuple[LazyInstance, Record]]:
        """Return the instances of which something is still to come, all of each of them."""
        parts = self._active_parts()
        columns = ", ".join(INSTANCE_COLUMNS)
        query = f"SELECT {columns} FROM instances WHERE hub = ? AND is_active ORDER BY number"
        found = []
        for row in self.rows(query):
            stored, record = self.instance_of(row)
            vars(stored).update(_large_values(row, record, parts.get(row[0], [])))
            found.append((stored, record))
        return found

    @_unavailable_on_error()
    def entity(self, entity_id: str) -> tuple[Entity, Record] | None:
        """Return an entity, None if the file has none with this ID."""
        columns = ", ".join(ENTITY_COLUMNS)
        rows = self.rows(f"SELECT {columns} FROM entities WHERE hub = ? AND id = ?", entity_id)
        return self.entity_of(rows[0]) if rows else None

    @_unavailable_on_error()
    def entity_of(self, row: Sequence[Any]) -> tuple[Entity, Record]:
        """Return the entity of a row of ENTITY_COLUMNS, and its record."""
        number, _, entity_id, updated_at, locked_by, section, is_active, queue_from, state = row
        chunks: list[tuple[int, bytes]] = []
        if is_active:
            chunks = self._connection.execute(
                "SELECT until, body FROM parts WHERE owner = ? AND kind = ? ORDER BY until",
                (number, Part.QUEUE),
            ).fetchall()
        queue = events_of(chunks, queue_from)
        record = Record(number, queue=SavedPrefix(queue, queue_from))
        return Entity(entity_id, updated_at, state, locked_by, section, queue), record

    @_unavailable_on_error()
    def active_entities(self) -> list[tuple[Entity, Record]]:
        """Return the entities that have something to do."""
        columns = ", ".join(ENTITY_COLUMNS)
        query = f"SELECT {columns} FROM entities WHERE hub = ? AND is_active ORDER BY number"
        return [self.entity_of(row) for row in self.rows(query)]

    @_unavailable_on_error()
    def timers(self) -> list[tuple[int, Timer]]:
        """Return the timers that no instance's history tells of, with their numbers."""
        rows = self.rows("SELECT number, due, target, event FROM timers WHERE hub = ?")
        found = []
        for number, stored, target, body in rows:
            due = time_of_stored(stored)
            assert due is not None
            found.append((number, Timer(due, target, event_of(body))))
        return found

    @_unavailable_on_error()
    def orphans(self) -> list[tuple[int, OrphanedActivity]]:
        """Return the activities that nobody waits for any more, with their numbers."""
        query = "SELECT number, instance_id, version, event FROM left_activities WHERE hub = ?"
        return [
            (number, OrphanedActivity(Activity(instance_id, event_of(body)), version))
            for number, instance_id, version, body in self.rows(query)
        ]

    def _active_parts(self) -> dict[int, list[Any]]:
        """Return the parts of all active instances at once: there may be many."""
        rows = self.rows(
            "SELECT owner, kind, until, body FROM parts WHERE owner IN "
            "(SELECT number FROM instances WHERE hub = ? AND is_active) "
            "ORDER BY owner, kind, until"
        )
        return {owner: [row[1:] for row in group] for owner, group in groupby(rows, itemgetter(0))}


def _large_values(row: Sequence[Any], record: Record, parts: Iterable[Any]) -> dict[str, Any]:
    """Return what `parts` hold of an instance, and note in its record that this is on disk."""
    bodies: dict[int, list[tuple[int, bytes]]] = {}
    for kind, until, body in parts:
        bodies.setdefault(kind, []).append((until, body))
    history = events_of(bodies.get(Part.HISTORY, ()), row[_HISTORY_FROM])
    inbox = events_of(bodies.get(Part.INBOX, ()), row[_INBOX_FROM])
    times_parts = bodies.get(Part.DISPATCH_TIMES, [])
    times = dispatch_times_of(body for _, body in times_parts)
    record.history, record.inbox = (
        SavedPrefix(history, row[_HISTORY_FROM]),
        SavedPrefix(inbox, row[_INBOX_FROM]),
    )
    record.dispatch_times = SavedDispatchTimes(times, times_parts[-1][0] if times_parts else 0)
    for kind in (Part.INPUT, Part.OUTPUT):
        record.texts[kind] = bodies[kind][0][1].decode() if kind in bodies else None
    return {
        "history": history,
        "inbox": inbox,
        "dispatch_times": times,
        "pending_tasks": {}
        if row[_STATUS] in _WAITS_FOR_NOTHING
        else unanswered([*history, *inbox]),
        "input": record.texts[Part.INPUT],
        "output": record.texts[Part.OUTPUT],
    }
