"""Reads instances and entities of one task hub from a state file, large values on first access."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.message import DecodeError

from dts_emulator.engine.errors import UnavailableError
from dts_emulator.engine.events import unanswered
from dts_emulator.engine.model import Activity, Entity, Instance, Timer
from dts_emulator.store import EntityFilter, Filter, Key, OrphanedActivity
from dts_emulator.store.codec import (
    ENTITY_COLUMNS,
    INSTANCE_COLUMNS,
    Part,
    damaged_values,
    dispatch_times_of,
    event_of,
    events_of,
    instance_values,
    readable_status,
    time_of_stored,
    within_64_bits,
)
from dts_emulator.store.pending import Record, SavedDispatchTimes, SavedPrefix

# Raised by rows and parts with unexpected content.
_UNREADABLE = (DecodeError, ValueError, TypeError, KeyError, AttributeError, OverflowError)


@contextmanager
def _unavailable_on_error() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, *_UNREADABLE) as error:
        raise UnavailableError(f"The emulator cannot read its state file: {error}.") from error


class LazyInstance(Instance):
    """An instance from the file, whose large values are read on first access."""

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
        # A value must not be read after it is overwritten.
        self.__get__(stored, type(stored))
        vars(stored)[self._name] = value


_STATUS, _IS_ACTIVE, _HISTORY_FROM, _INBOX_FROM = map(
    INSTANCE_COLUMNS.index, ("status", "is_active", "history_from", "inbox_from")
)
_WAITS_FOR_NOTHING = (pb.ORCHESTRATION_STATUS_COMPLETED, pb.ORCHESTRATION_STATUS_TERMINATED)

_TAG = "? IN (key, value, key || '=' || value)"

for _name in ("history", "inbox", "dispatch_times", "pending_tasks", "input", "output"):
    setattr(LazyInstance, _name, _Large(_name))


class Reader:
    """Reads the state of one task hub from a file. Called under the task hub's lock.

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
        """Return an instance, None if the file does not contain it."""
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
        except _UNREADABLE as error:
            if row[_IS_ACTIVE]:
                raise
            # Only instances with pending work must be readable.
            values = damaged_values(row, f"{type(error).__name__}: {error}")
        stored = LazyInstance.__new__(LazyInstance)
        vars(stored).update(values, turn=None, read_more=read_more)
        return stored, record

    @_unavailable_on_error()
    def active_instances(self) -> list[tuple[LazyInstance, Record]]:
        """Return the instances with pending work, with all their values."""
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
        """Return an entity, None if the file does not contain it."""
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
        """Return the entities with operations."""
        columns = ", ".join(ENTITY_COLUMNS)
        query = f"SELECT {columns} FROM entities WHERE hub = ? AND is_active ORDER BY number"
        return [self.entity_of(row) for row in self.rows(query)]

    @_unavailable_on_error()
    def timers(self) -> list[tuple[int, Timer]]:
        """Return the timers that are in no instance's history, with their numbers."""
        rows = self.rows("SELECT number, due, target, event FROM timers WHERE hub = ?")
        found = []
        for number, stored, target, body in rows:
            due = time_of_stored(stored)
            assert due is not None
            found.append((number, Timer(due, target, event_of(body))))
        return found

    @_unavailable_on_error()
    def orphans(self) -> list[tuple[int, OrphanedActivity]]:
        """Return the orphaned activities, with their numbers."""
        query = "SELECT number, instance_id, version, event FROM left_activities WHERE hub = ?"
        return [
            (number, OrphanedActivity(Activity(instance_id, event_of(body)), version))
            for number, instance_id, version, body in self.rows(query)
        ]

    def _active_parts(self) -> dict[int, list[Any]]:
        """Return the parts of all active instances in one query."""
        rows = self.rows(
            "SELECT owner, kind, until, body FROM parts WHERE owner IN "
            "(SELECT number FROM instances WHERE hub = ? AND is_active) "
            "ORDER BY owner, kind, until"
        )
        return {owner: [row[1:] for row in group] for owner, group in groupby(rows, itemgetter(0))}


def _large_values(row: Sequence[Any], record: Record, parts: Iterable[Any]) -> dict[str, Any]:
    """Return an instance's values in `parts`, and add them to its record."""
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


class Lists:
    """Finds the rows of one task hub: a page of INSTANCE_COLUMNS or ENTITY_COLUMNS each.

    Args:
        outdated: returns the numbers of the rows to skip.
    """

    def __init__(self, reader: Reader, outdated: Callable[[], list[int]]) -> None:
        self._reader = reader
        self._outdated = outdated

    def by_creation(self, wanted: Filter, after: Key | None, limit: int) -> list[Any]:
        """Return instances by creation time and ID, those after the key `after`."""
        where, values = self._condition(wanted)
        if after is not None:
            where += " AND (created_at, id) > (?, ?)"
            values += [within_64_bits(after[0]), after[1]]
        return self._instances(f"{where} ORDER BY created_at, id LIMIT ?", [*values, limit])

    def by_completion(self, wanted: Filter, after: Key | None, limit: int) -> list[Any]:
        """Return ended instances by completion time and ID, those after the key `after`."""
        where, values = self._condition(wanted)
        where += " AND completed_at IS NOT NULL"
        if after is not None:
            where += " AND (completed_at, id) > (?, ?)"
            values += [within_64_bits(after[0]), after[1]]
        return self._instances(f"{where} ORDER BY completed_at, id LIMIT ?", [*values, limit])

    def newest(self, wanted: Filter, offset: int, limit: int) -> tuple[list[Any], int]:
        """Return a page of the newest instances, and how many there are in all."""
        where, values = self._condition(wanted)
        order = "ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
        page = self._instances(f"{where} {order}", [*values, limit, offset])
        counted = self._reader.rows(f"SELECT count(*) FROM instances WHERE {where}", *values)
        return page, counted[0][0]

    def count_by_status(self, wanted: Filter) -> Counter[int]:
        """Return how many of the wanted instances have each status."""
        where, values = self._condition(wanted)
        query = f"SELECT status, count(*) FROM instances WHERE {where} GROUP BY status"
        counts = Counter[int]()
        for status, count in self._reader.rows(query, *values):
            counts[readable_status(status)] += count
        return counts

    def entities(self, wanted: EntityFilter, after: str, limit: int) -> list[Any]:
        """Return entities by ID, those after the ID `after`."""
        where = "hub = ? AND id > ? AND substr(id, 1, ?) = ?"
        values: list[Any] = [after, len(wanted.prefix), wanted.prefix]
        where, values = _between(
            "updated_at", wanted.modified_from, wanted.modified_to, where, values
        )
        where, values = self._up_to_date(where, values)
        if not wanted.with_stateless:
            where += " AND state IS NOT NULL"
        columns = ", ".join(ENTITY_COLUMNS)
        query = f"SELECT {columns} FROM entities WHERE {where} ORDER BY id LIMIT ?"
        return self._reader.rows(query, *values, limit)

    def _condition(self, wanted: Filter) -> tuple[str, list[Any]]:
        """Return a filter as SQL, and its values after the task hub's number."""
        where, values = self._up_to_date("hub = ?", [])
        if wanted.statuses:
            where += f" AND status IN ({', '.join('?' * len(wanted.statuses))})"
            values += [int(status) for status in sorted(wanted.statuses)]
        where, values = _between(
            "created_at", wanted.created_from, wanted.created_to, where, values
        )
        where, values = _between(
            "completed_at", wanted.completed_from, wanted.completed_to, where, values
        )
        if wanted.prefix:
            where += " AND substr(id, 1, ?) = ?"
            values += [len(wanted.prefix), wanted.prefix]
        if wanted.top_level:
            where += " AND parent_id IS NULL"
        if wanted.tag:
            # Most instances have no tags; parsing JSON takes ten times as long as this check.
            # A damaged row has no tags.
            readable = "CASE WHEN json_valid(tags) THEN tags ELSE '{}' END"
            found = f"EXISTS (SELECT 1 FROM json_each({readable}) WHERE {_TAG})"
            where += f" AND tags <> '{{}}' AND {found}"
            values.append(wanted.tag)
        if wanted.search:
            where += " AND instr(search, ?) > 0"
            values.append(wanted.search.casefold())
        return where, values

    def _up_to_date(self, where: str, values: list[Any]) -> tuple[str, list[Any]]:
        """Exclude outdated rows."""
        outdated = self._outdated()
        if not outdated:
            return where, values
        without = f"{where} AND number NOT IN (SELECT value FROM json_each(?))"
        return without, [*values, json.dumps(outdated)]

    def _instances(self, where: str, values: list[Any]) -> list[Any]:
        """Return the rows of a page in its order; an index alone finds their numbers."""
        numbers = self._reader.rows(f"SELECT number FROM instances WHERE {where}", *values)
        columns = ", ".join(INSTANCE_COLUMNS)
        query = f"SELECT {columns} FROM instances WHERE hub = ? AND number = ?"
        return [row for (number,) in numbers for row in self._reader.rows(query, number)]


def _between(
    column: str, start: int | None, end: int | None, where: str, values: list[Any]
) -> tuple[str, list[Any]]:
    if start is not None:
        where, values = f"{where} AND {column} >= ?", [*values, within_64_bits(start)]
    if end is not None:
        where, values = f"{where} AND {column} < ?", [*values, within_64_bits(end)]
    return where, values
