"""Stores a task hub in a SQLite file; only active and unsaved items are in memory."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Lock, RLock
from typing import Any
from weakref import WeakValueDictionary

from dts_emulator.engine.errors import UnavailableError
from dts_emulator.engine.model import Activity, Entity, Instance, Timer
from dts_emulator.store import (
    EntityFilter,
    Filter,
    Key,
    OrphanedActivity,
    completion_key,
    creation_key,
    page,
)
from dts_emulator.store.pending import Changes, Pending
from dts_emulator.store.reader import Lists, Reader
from dts_emulator.store.writer import Done, Writer


class SqliteStore:
    """The instances and entities of one task hub in a state file.

    Ended instances leave the memory once they are on disk, and are read again on access. There
    is never more than one object of an instance or entity.

    Args:
        hub: the task hub's number in the file.
        reading: a connection to the file for this task hub alone.
        writing: a connection that all task hubs of the file share, under `mutex`.
        name: the file's name for the user.
        new_number: returns a number for new rows.
        check_place: raises LostFileError if the file was moved, removed or replaced.
    """

    def __init__(
        self,
        hub: int,
        reading: sqlite3.Connection,
        writing: sqlite3.Connection,
        mutex: Lock,
        name: str,
        new_number: Callable[[], int],
        check_place: Callable[[], None],
    ) -> None:
        self.lock = RLock()
        self._connection = reading
        self._reader = Reader(reading, hub)
        self._pending = Pending(hub, new_number)
        self._lists = Lists(self._reader, self._pending.outdated)
        self._instances: dict[str, Instance] = {}
        self._entities: dict[str, Entity] = {}
        self._children: defaultdict[str, set[str]] = defaultdict(set)
        self._read: WeakValueDictionary[str, Instance] = WeakValueDictionary()
        self._read_entities: WeakValueDictionary[str, Entity] = WeakValueDictionary()
        self._writer = Writer(writing, mutex, name, self, check_place)

    # Instances

    def instance(self, instance_id: str) -> Instance | None:
        """Return an instance, None if it does not exist."""
        known = self._instances.get(instance_id) or self._read.get(instance_id)
        if known is not None or self._pending.is_gone(instance_id):
            return known
        found = self._reader.instance(instance_id)
        if found is None:
            return None
        instance = self._read[instance_id] = found[0]
        self._pending.register_saved(*found)
        return instance

    def put(self, instance: Instance) -> None:
        """Save a new or changed instance."""
        if instance.instance_id not in self._instances:
            self._hold(instance)
        self._pending.put(instance)
        self._writer.wake()

    def remove(self, instance_id: str) -> None:
        """Delete an instance, if it exists."""
        instance = self.instance(instance_id)
        if instance is None:
            return
        self._let_go(instance)
        self._read.pop(instance_id, None)
        self._pending.remove(instance)
        self._writer.wake()

    def children(self, parent_id: str) -> list[str]:
        """Return the IDs of an instance's sub-orchestrations."""
        # By itself SQLite uses another index, and reads all instances of the task hub.
        table = "instances INDEXED BY instances_by_parent"
        query = f"SELECT id FROM {table} WHERE hub = ? AND parent_id = ?"
        on_disk = {
            child
            for (child,) in self._reader.rows(query, parent_id)
            if child not in self._instances and not self._pending.is_gone(child)
        }
        return sorted(on_disk | self._children.get(parent_id, set()))

    # Lists: rows of the file, except outdated ones, merged with unsaved items from memory.

    def by_creation(self, wanted: Filter, after: Key | None, limit: int) -> list[Instance]:
        """Return instances by creation time and ID, those after the key `after`."""
        saved = map(self._instance_of, self._lists.by_creation(wanted, after, limit))
        return page([*saved, *self._unsaved(wanted)], creation_key, after, limit)

    def by_completion(self, wanted: Filter, after: Key | None, limit: int) -> list[Instance]:
        """Return ended instances by completion time and ID, those after the key `after`."""
        saved = map(self._instance_of, self._lists.by_completion(wanted, after, limit))
        unsaved = (one for one in self._unsaved(wanted) if one.completed_at is not None)
        return page([*saved, *unsaved], completion_key, after, limit)

    def newest(self, wanted: Filter, offset: int, limit: int) -> tuple[list[Instance], int]:
        """Return a page of the newest instances, and how many there are in all."""
        unsaved = self._unsaved(wanted)
        # The page begins at or after this row, depending on the unsaved instances before it.
        first = max(0, offset - len(unsaved))
        rows, count = self._lists.newest(wanted, first, offset - first + limit)
        found = sorted([*map(self._instance_of, rows), *unsaved], key=creation_key, reverse=True)
        return found[offset - first :][:limit], count + len(unsaved)

    def count_by_status(self, wanted: Filter) -> dict[int, int]:
        """Return how many of the wanted instances have each status."""
        counts = self._lists.count_by_status(wanted)
        counts.update(int(one.status) for one in self._unsaved(wanted))
        return dict(counts)

    def _unsaved(self, wanted: Filter) -> list[Instance]:
        unsaved = self._pending.unsaved()
        return [one for one in unsaved if isinstance(one, Instance) and wanted.takes(one)]

    def _instance_of(self, row: Any) -> Instance:
        instance_id = row[2]
        known = self._instances.get(instance_id) or self._read.get(instance_id)
        if known is not None:
            return known
        instance, record = self._reader.instance_of(row)
        self._read[instance_id] = instance
        self._pending.register_saved(instance, record)
        return instance

    def _hold(self, instance: Instance) -> None:
        self._instances[instance.instance_id] = instance
        if instance.parent_id is not None:
            self._children[instance.parent_id].add(instance.instance_id)

    def _let_go(self, instance: Instance) -> None:
        self._instances.pop(instance.instance_id, None)
        siblings = self._children.get(instance.parent_id or "", set())
        siblings.discard(instance.instance_id)
        if not siblings:
            self._children.pop(instance.parent_id or "", None)

    # Entities

    def entity(self, entity_id: str) -> Entity | None:
        """Return an entity, None if it does not exist."""
        known = self._entities.get(entity_id) or self._read_entities.get(entity_id)
        if known is not None or self._pending.is_gone(entity_id):
            return known
        found = self._reader.entity(entity_id)
        if found is None:
            return None
        entity = self._read_entities[entity_id] = found[0]
        self._pending.register_saved(*found)
        return entity

    def put_entity(self, entity: Entity) -> None:
        """Save a new or changed entity."""
        self._entities[entity.entity_id] = entity
        self._pending.put(entity)
        self._writer.wake()

    def remove_entity(self, entity_id: str) -> None:
        """Delete an entity, if it exists."""
        entity = self.entity(entity_id)
        if entity is None:
            return
        self._entities.pop(entity_id, None)
        self._read_entities.pop(entity_id, None)
        self._pending.remove(entity)
        self._writer.wake()

    def entities(self, wanted: EntityFilter, after: str, limit: int) -> list[Entity]:
        """Return entities by ID, those after the ID `after`."""
        rows = self._lists.entities(wanted, after, limit)
        saved = [entity for row in rows if (entity := self.entity(row[2])) is not None]
        unsaved = (one for one in self._pending.unsaved() if isinstance(one, Entity))
        found = [*saved, *(one for one in unsaved if one.entity_id > after and wanted.takes(one))]
        return sorted(found, key=lambda entity: entity.entity_id)[:limit]

    # Timers and activities that are in no history

    def put_timer(self, timer: Timer) -> None:
        """Save a timer that is in no instance's history: that of a delayed signal."""
        self._pending.put_timer(timer)
        self._writer.wake()

    def remove_timer(self, timer: Timer) -> None:
        """Delete a timer, if it was saved."""
        self._pending.remove_timer(timer)
        self._writer.wake()

    def keep_orphan(self, orphan: OrphanedActivity) -> None:
        """Save an activity that is no longer in an instance's history."""
        self._pending.keep_orphan(orphan)
        self._writer.wake()

    def remove_orphan(self, activity: Activity) -> None:
        """Delete an orphaned activity, if it was saved."""
        if self._pending.remove_orphan(activity):
            self._writer.wake()

    # State that a starting emulator restores

    def active(self) -> Iterable[Instance]:
        """Return the instances with pending work."""
        for instance, record in self._reader.active_instances():
            self._pending.register_saved(instance, record)
            self._hold(instance)
        return list(self._instances.values())

    def active_entities(self) -> Iterable[Entity]:
        """Return the entities with operations."""
        for entity, record in self._reader.active_entities():
            self._pending.register_saved(entity, record)
            self._entities[entity.entity_id] = entity
        return list(self._entities.values())

    def timers(self) -> Iterable[Timer]:
        """Return the saved timers."""
        found = self._reader.timers()
        for number, timer in found:
            self._pending.register_saved_timer(number, timer)
        return [timer for _, timer in found]

    def orphans(self) -> Iterable[OrphanedActivity]:
        """Return the orphaned activities."""
        found = self._reader.orphans()
        for number, orphan in found:
            self._pending.register_saved_orphan(number, orphan)
        return [orphan for _, orphan in found]

    # Saving

    @property
    def problem(self) -> str | None:
        """Why nothing can be saved at present, for the user; None if saving works."""
        return self._writer.problem

    def ensure_writable(self) -> None:
        """Reject a change that cannot be saved; called before the change."""
        if self._writer.problem is not None:
            raise UnavailableError(self._writer.problem)

    def last_change(self, item_id: str) -> int:
        """Return the number of the last change to an instance or entity, 0 if all are on disk."""
        return self._pending.last_change(item_id)

    def is_saved(self, change: int) -> bool:
        """Return whether all changes up to a number are on disk."""
        return change <= self._writer.written

    def flush(self, until: int | None = None) -> None:
        """Wait until all changes, or those up to a number, are on disk. Called without a lock."""
        result: SimpleQueue[str | None] = SimpleQueue()
        self._writer.when_written(self._pending.last if until is None else until, result.put)
        problem = result.get()
        if problem is not None:
            raise UnavailableError(problem)

    def when_flushed(self, done: Done) -> None:
        """Call `done` with None once all changes are on disk, or with the reason for a failure."""
        self._writer.when_written(self._pending.last, done)

    def close(self) -> None:
        """Write all changes, and close."""
        self._writer.close()
        self._connection.close()

    # For the writer

    def take(self) -> Changes | None:
        """Return the changes since the last call, None if there are none."""
        with self.lock:
            return self._pending.take()

    def written(self, until: int) -> None:
        """Release written instances and entities without pending work from memory."""
        with self.lock:
            for item in self._pending.written(until):
                if isinstance(item, Instance):
                    self._let_go(item)
                    self._read[item.instance_id] = item
                else:
                    self._entities.pop(item.entity_id, None)
                    self._read_entities[item.entity_id] = item
