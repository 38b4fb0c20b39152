"""Writes a task hub's changes to its state file, in batches that are each a consistent state."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from dts_emulator.store.pending import Changes

logger = logging.getLogger("emulator")

# How long changes that no client waits for are collected before they are written.
FLUSH_INTERVAL = 0.1

# How long to wait before the next attempt when writing has failed.
RETRY_SECONDS = 1.0

# The interval at which an idle writer checks that the file still exists.
CHECK_SECONDS = 1.0


# Called with None when changes are on disk, or with the reason for a failure.
Done = Callable[[str | None], None]


class LostFileError(Exception):
    """The file was moved, removed or replaced."""


class Source(Protocol):
    """Where the writer gets changes from."""

    def take(self) -> Changes | None:
        """Return the changes since the last call, None if there are none."""

    def written(self, until: int) -> None:
        """Record that all changes up to a number are on disk."""


class Writer:
    """Writes the changes of one task hub, in order, on a thread of its own.

    Args:
        connection: to the state file, under `mutex`, with which other task hubs share it.
        name: the file's name for the user.
        source: where changes come from.
        check_place: raises LostFileError if the file was moved, removed or replaced.
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
        self.written = 0
        self._waiting: list[tuple[int, Done]] = []
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Signal unsaved changes."""
        if not self._is_dirty:
            with self._state:
                self._is_dirty = True
                self._state.notify_all()

    def when_written(self, until: int, done: Done) -> None:
        """Write now, and call `done` when all changes up to a number are on disk.

        Its argument is None, or the reason for a failure.
        """
        with self._state:
            reason = self.problem
            if reason is None and until > self.written:
                if not self._has_ended:
                    self._waiting.append((until, done))
                    self._state.notify_all()
                    return
                reason = "The emulator is stopping."
        done(reason)

    def close(self) -> None:
        """Write the remaining changes, and end."""
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
        except BaseException as error:  # Any error here must be noticed.
            logger.exception("An internal error stopped all writing to %s", self._name)
            self._fail(
                f"The emulator can no longer write to {self._name} because of an internal error "
                f"({type(error).__name__}: {error}). See its log, then restart it: "
                "it resumes from the last saved state."
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
            self._is_dirty = False  # Before collecting changes: later ones set it again.
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
                # Do not acknowledge changes that went to a lost file.
                self._check_place()
        until = self._pending[-1].until if self._pending else self.written
        self._pending.clear()
        self._source.written(until)
        with self._state:
            self.written = until
            if self.problem is not None:
                logger.warning("%s is writable again", self._name)
                self.problem = None
            done = [call for number, call in self._waiting if number <= until]
            self._waiting = [one for one in self._waiting if one[0] > until]
        for call in done:
            call(None)

    def _note_problem(self, error: Exception) -> None:
        if self.problem is None:
            logger.error("Cannot write to %s: %s", self._name, error)
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
    """Return the error message while writing fails."""
    return f"The emulator cannot write to {name}: {why}. The emulator keeps retrying."


def _may_pass(error: Exception) -> bool:
    """Return whether an error concerns the file or its disk, not the changes."""
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
        with suppress(sqlite3.Error):  # Some errors have already rolled it back.
            connection.execute("ROLLBACK")
        raise
