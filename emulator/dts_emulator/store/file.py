"""State files: exclusive access, tables, migrations, and errors for the user."""

from __future__ import annotations

import itertools
import os
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

from dts_emulator.store.sqlite import SqliteStore
from dts_emulator.store.writer import LostFileError

# How long to wait for another program, such as a SQLite shell, that briefly locks the file.
BUSY_TIMEOUT_SECONDS = 5.0

# NORMAL: commits survive the end of the process, though not always a power failure, which never
# leaves half a transaction. https://www.sqlite.org/pragma.html#pragma_synchronous
_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA cache_size = -8000",
)

# "DTSE", in the field of SQLite files that identifies the application.
APPLICATION_ID = 0x44545345

# `instances` and `entities` hold the values that are read and written all the time, `parts` large
# and growing ones: histories, inboxes and queues as chunks of events, inputs, outputs. Events are
# numbered from the beginning of their list; `until` is the number after a chunk's last event.
# Some names are older than the code's: `left_activities` holds the orphaned activities, `is_due`
# is Instance.owes_turn. Earlier emulators' files have them.
VERSION_1 = """
CREATE TABLE hubs (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

CREATE TABLE instances (
    number INTEGER PRIMARY KEY, hub INTEGER NOT NULL, id TEXT NOT NULL,
    status INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    completed_at INTEGER, name TEXT NOT NULL, search TEXT NOT NULL, version TEXT, parent_id TEXT,
    parent_task INTEGER NOT NULL, execution_id TEXT NOT NULL, scheduled_start INTEGER,
    starts_at INTEGER, custom_status TEXT, tags TEXT NOT NULL, failure BLOB, trace BLOB,
    rewind BLOB, is_due INTEGER NOT NULL, is_active INTEGER NOT NULL,
    history_from INTEGER NOT NULL, inbox_from INTEGER NOT NULL,
    UNIQUE (hub, id)
);
CREATE INDEX instances_by_creation ON instances
    (hub, created_at, id, status, parent_id, tags, search);
CREATE INDEX instances_by_status ON instances
    (hub, status, created_at, id, parent_id, tags, search);
CREATE INDEX instances_by_completion ON instances (hub, completed_at, id, status, created_at)
    WHERE completed_at IS NOT NULL;
CREATE INDEX instances_by_parent ON instances (hub, parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX active_instances ON instances (hub, number) WHERE is_active;

CREATE TABLE entities (
    number INTEGER PRIMARY KEY, hub INTEGER NOT NULL, id TEXT NOT NULL,
    updated_at INTEGER NOT NULL, locked_by TEXT, critical_section TEXT,
    is_active INTEGER NOT NULL, queue_from INTEGER NOT NULL, state TEXT,
    UNIQUE (hub, id)
);
CREATE INDEX active_entities ON entities (hub, number) WHERE is_active;

CREATE TABLE parts (
    row INTEGER PRIMARY KEY, owner INTEGER NOT NULL, kind INTEGER NOT NULL,
    until INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE UNIQUE INDEX parts_of_owner ON parts (owner, kind, until);

CREATE TABLE timers (
    number INTEGER PRIMARY KEY, hub INTEGER NOT NULL, due INTEGER NOT NULL,
    target TEXT NOT NULL, event BLOB NOT NULL
);
CREATE TABLE left_activities (
    number INTEGER PRIMARY KEY, hub INTEGER NOT NULL, instance_id TEXT NOT NULL,
    version TEXT NOT NULL, event BLOB NOT NULL
);
"""

# The summary of an ended instance saves the dashboard from reading its history.
VERSION_2 = "ALTER TABLE instances ADD COLUMN summary TEXT;"

# Times that 64 bits do not hold are bytes, which earlier emulators cannot read.
VERSION_3 = ""

# The statements that migrate a file from each version to the next. An empty file has version 0.
MIGRATIONS = [VERSION_1, VERSION_2, VERSION_3]


class FileError(Exception):
    """A state file cannot be used; the message names it and says what to do."""


class ForeignFileError(Exception):
    """The file is not a state file, or is of a later version; the message says which."""


class StateFile:
    """A SQLite file with the state of any number of task hubs; created if missing.

    Raises:
        FileError: it cannot be used; it is unchanged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._stores: list[SqliteStore] = []
        self._mutex = Lock()
        self._file_lock = self._take()
        try:
            self._refuse_other_names()
            self._connection = self._open()
        except BaseException:
            self._file_lock.release()
            raise
        self._identities = {path: _identity_at(path) for path in self._files()}

    def store(self, task_hub: str) -> SqliteStore:
        """Return the store of a task hub, with its state in the file."""
        try:
            with self._mutex:
                self._check_place()
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
        """Return the names of the task hubs in the file, in the order of their creation."""
        with self._mutex:
            query = "SELECT name FROM hubs ORDER BY number"
            return [name for (name,) in self._connection.execute(query)]

    def close(self) -> None:
        """Write the unsaved changes of all stores, and release the file."""
        for store in self._stores:
            store.close()
        self._connection.close()
        self._file_lock.release()

    def _files(self) -> list[Path]:
        """Return the files that hold the state: recent changes are in SQLite's log."""
        opened = self.path.resolve()  # SQLite creates its log next to the target of a link.
        return [self.path, opened.with_name(f"{opened.name}-wal")]

    def _check_place(self) -> None:
        """Raise LostFileError if the file is no longer there. Called under the mutex."""
        lost = [path for path, found in self._identities.items() if _identity_at(path) != found]
        if not lost and not self._file_lock.is_sqlite():
            lost = [self.path]  # Another program has overwritten it.
        for path in lost:
            raise LostFileError(
                f"'{path}' was moved, removed or replaced; put it back, or restart the emulator"
            )

    def _take(self) -> FileLock:
        folder = self.path.absolute().parent
        if not folder.is_dir():
            raise FileError(f"The folder '{folder}' of the state file does not exist. Create it.")
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
                f"The folder '{folder}' of the state file is not writable: "
                f"{error.strerror}. Choose a file in another folder."
            ) from None

    def _refuse_other_names(self) -> None:
        """Refuse hard links: SQLite keeps its log beside the name that a file was opened with."""
        names = self.path.stat().st_nlink
        if names > 1:
            raise FileError(
                f"The state file '{self.path}' has {names} names (hard links), and SQLite would "
                "miss changes that were written under another one. Remove the other names, or "
                "copy the file."
            )

    def _open(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            self._check(connection)
            prepare(connection)
            self._numbers = itertools.count(_last_number(connection) + 1)
            for setting in _SETTINGS:
                connection.execute(setting)
            # Detects a read-only file before the first change.
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
        """Check for damage."""
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)

    def damaged(self, error: Exception) -> FileError:
        """Return the error for a damaged file."""
        why = " ".join(str(error).split()).rstrip(".")
        return FileError(
            f"The state file '{self.path}' is damaged: {why}. It was not changed; "
            "restore a copy of it, or name another file."
        )

    def _file_error(self, error: Exception) -> FileError:
        match error:
            case ForeignFileError():
                why = f"cannot be used: {error}. Name another file."
            case sqlite3.OperationalError():
                why = f"cannot be opened: {error}. Fix that, or name another file."
            case _ if "not a database" in str(error):
                why = "is not a SQLite file. Name another file."
            case _:
                return self.damaged(error)
        return FileError(f"The state file '{self.path}' {why}")


def _last_number(connection: sqlite3.Connection) -> int:
    tables = ("instances", "entities", "timers", "left_activities")
    found = [
        connection.execute(f"SELECT max(number) FROM {table}").fetchone()[0] for table in tables
    ]
    return max(number or 0 for number in found)


def prepare(connection: sqlite3.Connection) -> None:
    """Migrate a state file, or an empty file, to the current version, in one transaction.

    Raises:
        ForeignFileError: it is neither; it is unchanged.
        sqlite3.Error: it cannot be read or written.
    """
    version = _version_of(connection)
    if version < len(MIGRATIONS):
        steps = "".join(MIGRATIONS[version:])
        connection.executescript(
            f"BEGIN IMMEDIATE; {steps}"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {len(MIGRATIONS)};"
            "COMMIT;"
        )


def _version_of(connection: sqlite3.Connection) -> int:
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    if application != APPLICATION_ID:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application or version or tables:
            raise ForeignFileError("it is another program's SQLite file")
        return 0
    if version > len(MIGRATIONS):
        raise ForeignFileError(
            f"a later emulator wrote it (version {version}; this one knows up to {len(MIGRATIONS)})"
        )
    return version


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


# The lock lies on bytes that neither SQLite's own locks nor any data ever use: the rest of the page
# at 1 GiB, of which SQLite locks the first 512 bytes (https://www.sqlite.org/fileformat2.html,
# "The Lock-Byte Page"). The lock encodes the ID of the process that holds it.
_FIRST_BYTE = 0x4000_0000 + 1024

_HEADER = b"SQLite format 3\0"

if sys.platform == "win32":
    import msvcrt

    # Windows names no holder of a lock: after the first byte, one more is locked for each bit set.
    _BITS = range(32)

    def _lock(descriptor: int) -> None:
        _lock_byte(descriptor, 0)
        for bit in _BITS:
            if os.getpid() >> bit & 1:
                _lock_byte(descriptor, 1 + bit)

    def _holder(descriptor: int) -> int:
        return sum(1 << bit for bit in _BITS if not _is_free(descriptor, 1 + bit))

    def _is_free(descriptor: int, offset: int) -> bool:
        try:
            _lock_byte(descriptor, offset)
        except OSError:
            return False
        os.lseek(descriptor, _FIRST_BYTE + offset, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        return True

    def _lock_byte(descriptor: int, offset: int) -> None:
        os.lseek(descriptor, _FIRST_BYTE + offset, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl
    import struct

    # Open file description locks: fcntl's other locks end when SQLite closes any descriptor of the
    # file, and on macOS flock's conflict with SQLite's.
    if sys.platform == "darwin":
        _SET, _GET = 90, 92  # F_OFD_SETLK and F_OFD_GETLK in sys/fcntl.h.
        _LAYOUT = "qqihh"  # l_start, l_len, l_pid, l_type, l_whence
    else:
        _SET, _GET = fcntl.F_OFD_SETLK, fcntl.F_OFD_GETLK
        _LAYOUT = "hhqqi0q"  # l_type, l_whence, l_start, l_len, l_pid

    def _call(descriptor: int, command: int, length: int) -> int:
        """Request a lock of this length; return the length of the conflicting one."""
        if sys.platform == "darwin":
            asked = struct.pack(_LAYOUT, _FIRST_BYTE, length, 0, fcntl.F_WRLCK, os.SEEK_SET)
            return int(struct.unpack(_LAYOUT, fcntl.fcntl(descriptor, command, asked))[1])
        asked = struct.pack(_LAYOUT, fcntl.F_WRLCK, os.SEEK_SET, _FIRST_BYTE, length, 0)
        return int(struct.unpack(_LAYOUT, fcntl.fcntl(descriptor, command, asked))[3])

    # The length of the lock encodes the process ID.
    def _lock(descriptor: int) -> None:
        _call(descriptor, _SET, os.getpid())

    def _holder(descriptor: int) -> int:
        return _call(descriptor, _GET, 1)


class InUseError(Exception):
    """The process `pid` uses the file."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"in use by the process {pid}")
        self.pid = pid


# The files that this process uses, by device and inode. Opening and closing one of them again
# would release SQLite's own locks (https://www.sqlite.org/howtocorrupt.html, 2.2).
_held: set[tuple[int, int]] = set()
_mutex = Lock()


class FileLock:
    """Locks a file until it is released, or the process ends in any way.

    A missing file is created, readable for its owner only.

    Raises:
        InUseError: another emulator uses it.
        OSError: the file can be neither opened nor made, or its file system has no locks.
    """

    def __init__(self, file: Path) -> None:
        with _mutex:
            with suppress(FileNotFoundError):
                if _identity(os.stat(file)) in _held:
                    raise InUseError(os.getpid())
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                self._take()
            except BaseException:
                os.close(self._descriptor)
                raise
            self._identity = _identity(os.fstat(self._descriptor))
            _held.add(self._identity)

    def _take(self) -> None:
        try:
            _lock(self._descriptor)
        except (BlockingIOError, PermissionError):
            raise InUseError(_holder(self._descriptor)) from None

    def is_sqlite(self) -> bool:
        """Return whether the file begins like a SQLite file. Not for two threads simultaneously."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, len(_HEADER)) == _HEADER

    def release(self) -> None:
        """Release the file. SQLite must have closed it."""
        with _mutex:
            _held.discard(self._identity)
            os.close(self._descriptor)


def _identity(found: os.stat_result) -> tuple[int, int]:
    """Return the identity of a file."""
    return found.st_dev, found.st_ino


def _identity_at(path: Path) -> tuple[int, int] | None:
    try:
        return _identity(os.stat(path))
    except OSError:
        return None
