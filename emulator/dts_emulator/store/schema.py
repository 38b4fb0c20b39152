"""The tables of a state file, and how a file of an earlier version becomes one of this version."""

from __future__ import annotations

import sqlite3

# "DTSE", in the place that SQLite's files have for the program that they belong to.
APPLICATION_ID = 0x44545345

# What is read and written all the time is in `instances` and `entities`. What is large or grows
# is in `parts`: histories, inboxes and queues as chunks of events, inputs, outputs. An event's
# number counts from the beginning of its list; `until` is that after the last one of a chunk.
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

# Of an instance that has ended, so that the dashboard need not read its history.
VERSION_2 = "ALTER TABLE instances ADD COLUMN summary TEXT;"

# Times that 64 bits do not hold are bytes, which earlier emulators cannot read.
VERSION_3 = ""

# What makes a file of each version one of the next. An empty file has the version 0.
MIGRATIONS = [VERSION_1, VERSION_2, VERSION_3]


class ForeignFileError(Exception):
    """The file is not one of ours, or is of a later version; the message says which."""


def prepare(connection: sqlite3.Connection) -> None:
    """Bring a file to the present version, in one transaction. The file is ours, or empty.

    Raises:
        ForeignFileError: it is neither; it has not been touched.
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
            f"a later emulator has written it (version {version}; this one knows up to "
            f"{len(MIGRATIONS)})"
        )
    return version


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
