"""Stores a task hub in memory only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from threading import RLock

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


class MemoryStore:
    """The instances and entities of one task hub, as long as the process lives."""

    problem: str | None = None

    def __init__(self) -> None:
        self.lock = RLock()
        self._instances: dict[str, Instance] = {}
        self._entities: dict[str, Entity] = {}
        self._children: defaultdict[str, set[str]] = defaultdict(set)
        self._timers: set[Timer] = set()
        self._orphans: dict[int, OrphanedActivity] = {}

    def instance(self, instance_id: str) -> Instance | None:
        """Return an instance, None if it does not exist."""
        return self._instances.get(instance_id)

    def put(self, instance: Instance) -> None:
        """Save a new or changed instance."""
        if instance.instance_id not in self._instances and instance.parent_id is not None:
            self._children[instance.parent_id].add(instance.instance_id)
        self._instances[instance.instance_id] = instance

    def remove(self, instance_id: str) -> None:
        """Delete an instance, if it exists."""
        instance = self._instances.pop(instance_id, None)
        if instance is None or instance.parent_id is None:
            return
        siblings = self._children[instance.parent_id]
        siblings.discard(instance_id)
        if not siblings:
            del self._children[instance.parent_id]

    def children(self, parent_id: str) -> list[str]:
        """Return the IDs of an instance's sub-orchestrations."""
        return sorted(self._children.get(parent_id, ()))

    def by_creation(self, wanted: Filter, after: Key | None, limit: int) -> list[Instance]:
        """Return instances by creation time and ID, those after the key `after`."""
        return page(self._matching(wanted), creation_key, after, limit)

    def by_completion(self, wanted: Filter, after: Key | None, limit: int) -> list[Instance]:
        """Return ended instances by completion time and ID, those after the key `after`."""
        found = (one for one in self._matching(wanted) if one.completed_at is not None)
        return page(found, completion_key, after, limit)

    def newest(self, wanted: Filter, offset: int, limit: int) -> tuple[list[Instance], int]:
        """Return a page of the newest instances, and how many there are in all."""
        found = sorted(self._matching(wanted), key=creation_key, reverse=True)
        return found[offset : offset + limit], len(found)

    def count_by_status(self, wanted: Filter) -> dict[int, int]:
        """Return how many of the wanted instances have each status."""
        return dict(Counter(int(instance.status) for instance in self._matching(wanted)))

    def entity(self, entity_id: str) -> Entity | None:
        """Return an entity, None if it does not exist."""
        return self._entities.get(entity_id)

    def put_entity(self, entity: Entity) -> None:
        """Save a new or changed entity."""
        self._entities[entity.entity_id] = entity

    def remove_entity(self, entity_id: str) -> None:
        """Delete an entity, if it exists."""
        self._entities.pop(entity_id, None)

    def entities(self, wanted: EntityFilter, after: str, limit: int) -> list[Entity]:
        """Return entities by ID, those after the ID `after`."""
        ids = sorted(key for key in self._entities if key > after)
        found = [self._entities[key] for key in ids if wanted.takes(self._entities[key])]
        return found[:limit]

    def put_timer(self, timer: Timer) -> None:
        """Save a timer that is in no instance's history: that of a delayed signal."""
        self._timers.add(timer)

    def remove_timer(self, timer: Timer) -> None:
        """Delete a timer, if it was saved."""
        self._timers.discard(timer)

    def keep_orphan(self, orphan: OrphanedActivity) -> None:
        """Save an activity that is no longer in an instance's history."""
        self._orphans[id(orphan.activity.scheduled)] = orphan

    def remove_orphan(self, activity: Activity) -> None:
        """Delete an orphaned activity, if it was saved."""
        self._orphans.pop(id(activity.scheduled), None)

    def active(self) -> Iterable[Instance]:
        """Return the instances with pending work."""
        return [i for i in self._instances.values() if not i.has_ended or i.pending_tasks]

    def active_entities(self) -> Iterable[Entity]:
        """Return the entities with operations."""
        return [e for e in self._entities.values() if e.queue or e.batch]

    def timers(self) -> Iterable[Timer]:
        """Return the saved timers."""
        return list(self._timers)

    def orphans(self) -> Iterable[OrphanedActivity]:
        """Return the orphaned activities."""
        return list(self._orphans.values())

    def ensure_writable(self) -> None:
        """Do nothing: memory is always writable."""

    def last_change(self, _: str, /) -> int:
        """Return 0: nothing outlives the process."""
        return 0

    def is_saved(self, _: int, /) -> bool:
        """Return True: nothing outlives the process."""
        return True

    def flush(self, until: int | None = None) -> None:
        """Do nothing: nothing outlives the process."""

    def when_flushed(self, done: Callable[[str | None], None]) -> None:
        """Call `done` immediately: nothing outlives the process."""
        done(None)

    def close(self) -> None:
        """Do nothing: nothing outlives the process."""

    def _matching(self, wanted: Filter) -> Iterable[Instance]:
        return filter(wanted.takes, self._instances.values())
