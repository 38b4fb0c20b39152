"""A file's store tells of all that was put, as one in memory does, whatever of it is on disk."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st

from dts_emulator.engine.model import Entity
from dts_emulator.store import EntityFilter, Filter, Store
from dts_emulator.store.file import StateFile
from dts_emulator.store.memory import MemoryStore
from dts_emulator.store.pending import Changes
from dts_emulator.store.sqlite import SqliteStore
from tests.processes import wait_until
from tests.store.things import TIME, ended, ids, instance, named, names

COMPLETED = pb.ORCHESTRATION_STATUS_COMPLETED

NAMES = [f"i{number}" for number in range(6)]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["run", "end", "remove", "set", "clear", "keep"]),
        st.sampled_from(NAMES),
        st.integers(min_value=0, max_value=3),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(CHANGES, st.integers(min_value=0, max_value=7), st.integers(min_value=1, max_value=7))
def test_lists_are_those_of_a_store_in_memory(
    changes: list[tuple[str, str, int]], offset: int, limit: int
) -> None:
    memory = MemoryStore()
    with TemporaryDirectory() as folder:
        file = StateFile(Path(folder) / "state.db")
        store = file.store("hub")
        for what, name, number in changes:
            change(memory, what, name, number)
            with store.lock:
                change(store, what, name, number)
            if what == "keep":
                store.flush()
        with store.lock:
            listed = lists(store, offset, limit)
        file.close()
    assert listed == lists(memory, offset, limit)


def change(store: Store, what: str, name: str, number: int) -> None:
    """Change an instance, or an entity, in a store of either kind."""
    match what:
        case "run":
            store.remove(name)
            store.put(instance(name, created_at=TIME + number))
        case "end":
            found = store.instance(name)
            if found is not None:
                found.status, found.completed_at = COMPLETED, TIME + 10 - number
                store.put(found)
        case "remove":
            store.remove(name)
        case "set":
            entity = store.entity(f"@e@{name}") or Entity(f"@e@{name}", TIME)
            entity.updated_at, entity.state = TIME + number, str(number)
            store.put_entity(entity)
        case "clear":
            store.remove_entity(f"@e@{name}")


def lists(store: Store, offset: int, limit: int) -> list[Any]:
    """Return all that a store lists."""
    some, done = Filter(created_from=TIME + 1), Filter(statuses=frozenset([COMPLETED]))
    after = (TIME + 1, "i3")
    newest, count = store.newest(Filter(), offset, limit)
    return [
        ids(newest),
        count,
        ids(store.by_creation(some, None, limit)),
        ids(store.by_creation(Filter(), after, limit)),
        ids(store.by_completion(done, None, limit)),
        ids(store.by_completion(Filter(), after, limit)),
        {status: number for status, number in store.count_by_status(some).items() if number},
        [one.entity_id for one in store.entities(EntityFilter(modified_from=TIME + 1), "", limit)],
        [one.entity_id for one in store.entities(EntityFilter(), "@e@i2", limit)],
    ]


def test_a_list_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    file = StateFile(path)
    store = file.store("hub")
    store.put(instance("on disk"))
    store.flush()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # Nobody else can write now.
        store.put(ended("new"))
        started = time.monotonic()
        with store.lock:
            assert ids(store.newest(Filter(), 0, 10)[0]) == ["on disk", "new"]
        assert time.monotonic() - started < 1
        other.execute("ROLLBACK")
    file.close()


def test_changes_are_written_in_their_order_whatever_is_listed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment between taking changes and queueing them is made long."""
    take = SqliteStore.take
    has_taken = threading.Event()

    def take_slowly(store: SqliteStore) -> Changes | None:
        changes = take(store)
        if changes is not None and threading.current_thread().name == "writer":
            has_taken.set()
            time.sleep(0.02)  # The moment in which another thread may list.
        return changes

    monkeypatch.setattr(SqliteStore, "take", take_slowly)
    monkeypatch.setattr("dts_emulator.store.writer.FLUSH_INTERVAL", 0)
    file = StateFile(tmp_path / "state.db")
    store = file.store("hub")
    made = [instance(str(number)) for number in range(10)]
    for one in made:
        for letter in "ab":
            has_taken.clear()
            with store.lock:
                one.history, one.custom_status = [named(letter)], letter
                store.put(one)
            if letter == "a":
                assert has_taken.wait(10)
        with store.lock:
            assert store.newest(Filter(), 0, 100)[1] == int(one.instance_id) + 1
    store.flush()
    file.close()
    again = StateFile(tmp_path / "state.db")
    found = [(one.custom_status, names(one.history)) for one in again.store("hub").active()]
    again.close()
    assert found == [("b", ["b"])] * len(made)


def test_what_is_wanted_now_does_not_wait_for_more_to_gather(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dts_emulator.store.writer.FLUSH_INTERVAL", 3600.0)
    file = StateFile(tmp_path / "state.db")
    store = file.store("hub")
    told: list[str | None] = []
    for one in (instance("a"), instance("b")):
        store.put(one)
        store.when_flushed(told.append)
        wait_until(lambda: told, "it is kept", seconds=10)
        store.put(one)
        store.flush()
    assert told == [None, None]
    file.close()
