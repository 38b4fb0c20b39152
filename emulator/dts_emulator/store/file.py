"""Opens a state file, for this process alone, and says in words why it cannot."""

from __future__ import annotations

import itertools
import os
import sqlite3
from pathlib import Path
from threading import Lock

from dts_emulator.store.exclusive import FileLock, InUseError
from dts_emulator.store.schema import ForeignFileError, prepare
from dts_emulator.store.sqlite import SqliteStore
from dts_emulator.store.writer import LostFileError

# How long to wait for a program, such as a SQLite shell, that has the file locked for a moment.
BUSY_TIMEOUT_SECONDS = 5.0

# NORMAL: what is committed outlives the process, though not always a power cut; a power cut never
# leaves half a transaction. https://www.sqlite.org/pragma.html#pragma_synchronous
_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA cache_size = -8000",
)


class FileError(Exception):
    """A state file cannot be used; the message names it and says what to do."""


class StateFile:
    """A SQLite file with the state of any number of task hubs; made if it is not there.

    Raises:
        FileError: it cannot be used; it is as it was.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._stores: list[SqliteStore] = []
        self._mutex = Lock()
        self._file_lock = self._take()
        try:
            self._connection = self._open()
        except BaseException:
            self._file_lock.release()
            raise
        self._numbers = itertools.count(self._last_number() + 1)
        self._identities = {path: _identity(path) for path in self._files()}

    def store(self, task_hub: str) -> SqliteStore:
        """Return the store of a task hub, with what the file has of it."""
        try:
            self._check_place()
            with self._mutex:
                insert = "INSERT OR IGNORE INTO hubs (name) VALUES (?)"
                self._connection.execute(insert, (task_hub,))
                query = "SELECT number FROM hubs WHERE name = ?"
                number = self._connection.execute(query, (task_hub,)).fetchone()[0]
        except LostFileError as error:
            raise FileError(f"{error}.") from None
        except sqlite3.Error as error:
            raise self._file_error(error) from None
        store = SqliteStore(
            number,
            self._connect(),
            self._connection,
            self._mutex,
            str(self.path),
            self._numbers.__next__,
            self._check_place,
        )
        self._stores.append(store)
        return store

    def task_hubs(self) -> list[str]:
        """Return the names of the task hubs that the file has, in the order of their creation."""
        with self._mutex:
            query = "SELECT name FROM hubs ORDER BY number"
            return [name for (name,) in self._connection.execute(query)]

    def close(self) -> None:
        """Write what the stores have not written yet, and leave the file to others."""
        for store in self._stores:
            store.close()
        self._connection.close()
        self._file_lock.release()

    def _files(self) -> list[Path]:
        """Return the files without which nothing is found again: SQLite's log holds the news."""
        opened = self.path.resolve()  # SQLite puts its log beside what a link leads to.
        return [self.path, opened.with_name(f"{opened.name}-wal")]

    def _check_place(self) -> None:
        for path, identity in self._identities.items():
            if _identity(path) != identity:
                raise LostFileError(
                    f"'{path}' was moved, removed or replaced; put it back, or start the "
                    "emulator again"
                )

    def _take(self) -> FileLock:
        folder = self.path.absolute().parent
        if not folder.is_dir():
            raise FileError(f"There is no folder '{folder}' for the state file. Create it.")
        if self.path.is_dir():
            raise FileError(f"'{self.path}' is a folder. Name a file for the state.")
        try:
            return FileLock(self.path)
        except InUseError as error:
            raise FileError(
                f"The state file '{self.path}' is in use by another emulator "
                f"(process {error.pid}). Stop that one, or name another file."
            ) from None
        except OSError as error:
            if self.path.exists():
                raise self._file_error(sqlite3.OperationalError(error.strerror)) from None
            raise FileError(
                f"The folder '{folder}' of the state file cannot be written to: "
                f"{error.strerror}. Name a file in another one."
            ) from None

    def _open(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            self._check(connection)
            prepare(connection)
            for setting in _SETTINGS:
                connection.execute(setting)
            # A file that may only be read would otherwise be noticed at the first change.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except (sqlite3.Error, ForeignFileError) as error:
            connection.close()
            raise self._file_error(error) from None
        return connection

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self.path,
                timeout=BUSY_TIMEOUT_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            connection.execute("PRAGMA cache_size = -8000")
        except sqlite3.Error as error:
            raise self._file_error(error) from None
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Look for damage."""
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)

    def damaged(self, error: Exception) -> FileError:
        """Return the error of a file that does not hold what it should."""
        why = " ".join(str(error).split()).rstrip(".")
        return FileError(
            f"The state file '{self.path}' is damaged: {why}. It is left as it is; "
            "restore a copy of it, or name another file."
        )

    def _file_error(self, error: Exception) -> FileError:
        match error:
            case ForeignFileError():
                why = f"cannot be used: {error}. Name another file."
            case sqlite3.OperationalError():
                why = f"cannot be opened: {error}. Mend that, or name another file."
            case _ if "not a database" in str(error):
                why = "is not a SQLite file. Name another file."
            case _:
                return self.damaged(error)
        return FileError(f"The state file '{self.path}' {why}")

    def _last_number(self) -> int:
        tables = ("instances", "entities", "timers", "left_activities")
        found = [
            self._connection.execute(f"SELECT max(number) FROM {table}").fetchone()[0]
            for table in tables
        ]
        return max(number or 0 for number in found)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from every other one, None where none is found."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
