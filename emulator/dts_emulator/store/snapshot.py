"""Reads the histories of a state file without changing it, even while an emulator uses it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Set
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.errors import UnavailableError
from dts_emulator.store.codec import INSTANCE_COLUMNS
from dts_emulator.store.file import (
    BUSY_TIMEOUT_SECONDS,
    MIGRATIONS,
    FileError,
    ForeignFileError,
    prepare,
)
from dts_emulator.store.reader import Reader


def histories_in(
    path: str | Path, task_hub: str, statuses: Set[int]
) -> Iterator[tuple[str, list[pb.HistoryEvent]]]:
    """Yield the instance ID and the history of each instance with one of `statuses`, in order.

    Instances without a history are omitted.

    Raises:
        FileError: the file cannot be read, is damaged, or has no such task hub.
    """
    try:
        with closing(_opened(Path(path))) as connection:
            reader = Reader(connection, _hub_number(connection, path, task_hub))
            columns = ", ".join(INSTANCE_COLUMNS)
            marks = ", ".join("?" * len(statuses))
            query = (
                f"SELECT {columns} FROM instances WHERE hub = ? AND status IN ({marks}) "
                "ORDER BY number"
            )
            for row in reader.rows(query, *statuses):
                instance, _ = reader.instance_of(row)
                if instance.history:
                    yield instance.instance_id, instance.history
    except (sqlite3.Error, ForeignFileError, UnavailableError) as error:
        raise FileError(f"The state file '{path}' cannot be read: {error}.") from None


def _opened(path: Path) -> sqlite3.Connection:
    """Return a connection to a snapshot of a file, in the current version."""
    if not path.is_file():
        raise FileError(f"The state file '{path}' does not exist.")
    # Without a log next to it, no process writes the file, and SQLite must not create one.
    is_live = path.with_name(f"{path.name}-wal").exists()
    options = "mode=ro" if is_live else "mode=ro&immutable=1"
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{options}",
        uri=True,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
    )
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if 0 < version < len(MIGRATIONS):
            return _migrated(connection)
        if not version:
            raise ForeignFileError("it is not the state file of an emulator")
        prepare(connection)  # Changes nothing, but rejects other versions.
        connection.execute("BEGIN")
    except BaseException:
        connection.close()
        raise
    return connection


def _migrated(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a migrated copy, in memory, of a file of an earlier version."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    with closing(connection):
        connection.backup(copy)
    prepare(copy)
    return copy


def _hub_number(connection: sqlite3.Connection, path: str | Path, task_hub: str) -> int:
    hubs = dict(connection.execute("SELECT name, number FROM hubs ORDER BY name").fetchall())
    if task_hub not in hubs:
        known = ", ".join(map(repr, hubs)) or "none"
        raise FileError(
            f"The state file '{path}' has no task hub '{task_hub}'; its task hubs: {known}."
        )
    return int(hubs[task_hub])
