"""Keeps a task hub in memory, and forgets it at the end."""

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
        """Return an instance, None if there is none."""
        return self._instances.get(instance_id)

    def put(self, instance: Instance) -> None:
        """Keep a new instance, or what has become of one."""
        if instance.instance_id not in self._instances and instance.parent_id is not None:
            self._children[instance.parent_id].add(instance.instance_id)
        self._instances[instance.instance_id] = instance

    def remove(self, instance_id: str) -> None:
        """Forget an instance; one that is unknown is no error."""
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
        """Return an entity, None if nothing is kept of it."""
        return self._entities.get(entity_id)

    def put_entity(self, entity: Entity) -> None:
        """Keep a new entity, or what has become of one."""
        self._entities[entity.entity_id] = entity

    def remove_entity(self, entity_id: str) -> None:
        """Forget an entity; one that is unknown is no error."""
        self._entities.pop(entity_id, None)

    def entities(self, wanted: EntityFilter, after: str, limit: int) -> list[Entity]:
        """Return entities by ID, those after the ID `after`."""
        ids = sorted(key for key in self._entities if key > after)
        found = [self._entities[key] for key in ids if wanted.takes(self._entities[key])]
        return found[:limit]

    def put_timer(self, timer: Timer) -> None:
        """Keep a timer of which no instance's history tells: that of a delayed signal."""
        self._timers.add(timer)

    def remove_timer(self, timer: Timer) -> None:
        """Forget a timer; one that was not put is no error."""
        self._timers.discard(timer)

    def keep_orphan(self, orphan: OrphanedActivity) -> None:
        """Keep an activity of which no instance's history tells any more."""
        self._orphans[id(orphan.activity.scheduled)] = orphan

    def remove_orphan(self, activity: Activity) -> None:
        """Forget an activity; one that was not kept is no error."""
        self._orphans.pop(id(activity.scheduled), None)

    def active(self) -> Iterable[Instance]:
        """Return the instances of which something is still to come."""
        return [i for i in self._instances.values() if not i.has_ended or i.pending_tasks]

    def active_entities(self) -> Iterable[Entity]:
        """Return the entities that have something to do."""
        return [e for e in self._entities.values() if e.queue or e.batch]

    def timers(self) -> Iterable[Timer]:
        """Return the timers that were put."""
        return list(self._timers)

    def orphans(self) -> Iterable[OrphanedActivity]:
        """Return the orphaned activities."""
        return list(self._orphans.values())

    def ensure_writable(self) -> None:
        """Do nothing: memory takes every change."""

    def flush(self) -> None:
        """Do nothing: there is nothing that would outlive the process."""

    def when_flushed(self, done: Callable[[str | None], None]) -> None:
        """Call `done` at once: there is nothing that would outlive the process."""
        done(None)

    def close(self) -> None:
        """Do nothing: there is nothing that would outlive the process."""

    def _matching(self, wanted: Filter) -> Iterable[Instance]:
        return filter(wanted.takes, self._instances.values())
