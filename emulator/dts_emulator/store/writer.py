"""Writes a task hub's changes to its state file: many at once, each time a state that it was in."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from dts_emulator.store.codec import (
    ENTITY_COLUMNS,
    INSTANCE_COLUMNS,
    PART_COLUMNS,
    Part,
    body_of,
    finished_row,
    stored_time,
)

logger = logging.getLogger("emulator")

# How long changes that nobody waits for gather before they are written.
FLUSH_INTERVAL = 0.1

# How long to wait before the next attempt when writing has failed.
RETRY_SECONDS = 1.0

# How long the writer may be idle before it looks whether the file is still there.
CHECK_SECONDS = 1.0

# Rows in one statement: each statement costs a turn of Python's interpreter lock.
ROWS_AT_ONCE = 32


@dataclass
class Changes:
    """What has changed since the changes before: rows to be removed, then rows to be written.

    `until` is the number of the last change in it, `gone` the IDs of the removed instances and
    entities. A part's content is not serialised yet.
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


# Called with None when changes are on disk, or with the reason why they cannot be now.
Done = Callable[[str | None], None]


class LostFileError(Exception):
    """The file's name leads to another file, or to none."""


class Source(Protocol):
    """Where the writer gets changes from."""

    def take(self) -> Changes | None:
        """Return what has changed since the last call, None if nothing has."""

    def written(self, until: int) -> None:
        """Take note that all changes up to a number are on disk."""


class Writer:
    """Writes the changes of one task hub, in order, on a thread of its own.

    Args:
        connection: to the state file, under `mutex`, with which other task hubs share it.
        name: what the user calls the file.
        source: where changes come from.
        check_place: raises LostFileError once the file's name leads elsewhere.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        mutex: threading.Lock,
        name: str,
        source: Source,
        check_place: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._mutex = mutex
        self._name = name
        self._source = source
        self._check_place = check_place
        self._pending: list[Changes] = []
        self._state = threading.Condition()
        self._is_dirty = self._is_closing = self._has_ended = False
        self._written = 0
        self._waiting: list[tuple[int, Done]] = []
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something to write."""
        if not self._is_dirty:
            with self._state:
                self._is_dirty = True
                self._state.notify_all()

    def when_written(self, until: int, done: Done) -> None:
        """Write now, and call `done` when all changes up to a number are on disk.

        It gets None, or the reason why they cannot be written now.
        """
        with self._state:
            reason = self.problem
            if reason is None and until > self._written:
                if not self._has_ended:
                    self._waiting.append((until, done))
                    self._state.notify_all()
                    return
                reason = "The emulator is stopping."
        done(reason)

    def close(self) -> None:
        """Write what is left, and end."""
        with self._state:
            self._is_closing = True
            self._state.notify_all()
        self._thread.join()
        if self._pending:
            logger.error("%s The last changes are lost.", self.problem)

    def _run(self) -> None:
        try:
            while self._write_next():
                pass
        except BaseException as error:  # Whatever it is: it must not go unnoticed.
            logger.exception("An internal error ends all writing to %s", self._name)
            self._fail(
                f"The emulator cannot write to {self._name} any more, because of an internal "
                f"error ({type(error).__name__}: {error}). Its log tells more. Start it again: "
                "it goes on from what it has written."
            )
        with self._state:
            self._has_ended = True
        self._tell_waiting(self.problem or "The emulator is stopping.")

    def _write_next(self) -> bool:
        """Wait for changes and write them; return whether there may be more."""
        with self._state:
            if self._state.wait_for(self._has_work, CHECK_SECONDS):
                self._state.wait_for(self._is_urgent, FLUSH_INTERVAL)
            is_last = self._is_closing
            self._is_dirty = False  # Before changes are collected: later ones wake it again.
        changes = self._source.take()
        if changes is not None:
            self._pending.append(changes)
        try:
            self._write_pending()
        except (sqlite3.Error, LostFileError) as error:
            if not _may_pass(error):
                raise
            self._note_problem(error)
            with self._state:
                self._state.wait_for(lambda: self._is_closing, RETRY_SECONDS)
        return not is_last

    def _has_work(self) -> bool:
        return bool(self._is_dirty or self._pending or self._waiting or self._is_closing)

    def _is_urgent(self) -> bool:
        return bool(self._is_closing or self._waiting)

    def _write_pending(self) -> None:
        with self._mutex:
            self._check_place()
            if self._pending:
                with _transaction(self._connection):
                    for changes in self._pending:
                        changes.write(self._connection)
                # Nobody is told that this is kept if it went to a file that is gone.
                self._check_place()
        until = self._pending[-1].until if self._pending else self._written
        self._pending.clear()
        self._source.written(until)
        with self._state:
            self._written = until
            if self.problem is not None:
                logger.warning("%s can be written again", self._name)
                self.problem = None
            done = [call for number, call in self._waiting if number <= until]
            self._waiting = [one for one in self._waiting if one[0] > until]
        for call in done:
            call(None)

    def _note_problem(self, error: Exception) -> None:
        if self.problem is None:
            logger.error("%s cannot be written: %s", self._name, error)
        self._fail(cannot_write(self._name, error))

    def _fail(self, problem: str) -> None:
        with self._state:
            self.problem = problem
        self._tell_waiting(problem)

    def _tell_waiting(self, reason: str) -> None:
        with self._state:
            waiting, self._waiting = self._waiting, []
        for _, done in waiting:
            done(reason)


def cannot_write(name: str, why: object) -> str:
    """Return what callers are told while nothing can be written."""
    return f"The emulator cannot write to {name}: {why}. It goes on by itself once it can."


def _may_pass(error: Exception) -> bool:
    """Return whether an error is of the file or its disk, not of what was to be written."""
    return isinstance(error, sqlite3.OperationalError | LostFileError) or (
        type(error) is sqlite3.DatabaseError
    )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # Some errors have rolled it back already.
            connection.execute("ROLLBACK")
        raise


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
    """Write rows in the place of those with the same key."""
    remaining = list(rows)
    one = f"({', '.join('?' * len(columns))})"
    for start in range(0, len(remaining), ROWS_AT_ONCE):
        block = remaining[start : start + ROWS_AT_ONCE]
        connection.execute(
            f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) "
            f"VALUES {', '.join([one] * len(block))}",
            [value for row in block for value in row],
        )
