"""Where a task hub keeps its state: in memory, or (sqlite.py) in a file.

A store is called under the task hub's lock. It returns live objects: callers put a changed
instance or entity back to save it. The lists (by_creation, by_completion, newest,
count_by_status, entities) are only called between changes, never within one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import RLock
from typing import Protocol

from dts_emulator.engine.model import Activity, Entity, Instance, Timer
from dts_emulator.engine.tags import display_name, has_tag


@dataclass(frozen=True)
class Filter:
    """Selects instances; all conditions that are set must hold.

    Times are in nanoseconds since 1970, from `..._from` to just before `..._to`. `search` is a
    part of the ID or the name, case-insensitive. `top_level`: only instances without a parent.
    `tag` is the key of a tag, the value of one, or key=value.
    """

    statuses: frozenset[int] = frozenset()
    created_from: int | None = None
    created_to: int | None = None
    completed_from: int | None = None
    completed_to: int | None = None
    prefix: str = ""
    search: str = ""
    top_level: bool = False
    tag: str = ""

    def takes(self, instance: Instance) -> bool:
        """Return whether an instance matches."""
        return (
            (not self.statuses or instance.status in self.statuses)
            and _is_between(instance.created_at, self.created_from, self.created_to)
            and _is_between(instance.completed_at, self.completed_from, self.completed_to)
            and instance.instance_id.startswith(self.prefix)
            and (not self.top_level or instance.parent_id is None)
            and (not self.tag or has_tag(instance.tags, self.tag))
            and (not self.search or _has_text(instance, self.search))
        )


@dataclass(frozen=True)
class EntityFilter:
    """Selects entities; all conditions that are set must hold."""

    prefix: str = ""
    modified_from: int | None = None
    modified_to: int | None = None
    with_stateless: bool = False

    def takes(self, entity: Entity) -> bool:
        """Return whether an entity matches."""
        return (
            entity.entity_id.startswith(self.prefix)
            and _is_between(entity.updated_at, self.modified_from, self.modified_to)
            and (self.with_stateless or entity.state is not None)
        )


def search_text(instance_id: str, name: str, tags: Mapping[str, str]) -> str:
    """Return the text to search: the ID, the name and the display name."""
    return "\n".join(dict.fromkeys((instance_id, name, display_name(tags, name)))).casefold()


def _has_text(instance: Instance, text: str) -> bool:
    return text.casefold() in search_text(instance.instance_id, instance.name, instance.tags)


def _is_between(time: int | None, start: int | None, end: int | None) -> bool:
    """Return whether a time is in a range; None only matches an unlimited range."""
    if time is None:
        return start is None and end is None
    return (start is None or time >= start) and (end is None or time < end)


@dataclass(frozen=True)
class OrphanedActivity:
    """An offered activity for which no instance waits any more, with its version."""

    activity: Activity
    version: str


# A position in a list: the time by which instances are ordered, and the ID.
Key = tuple[int, str]


def creation_key(instance: Instance) -> Key:
    """Return an instance's position in the order of creation."""
    return instance.created_at, instance.instance_id


def completion_key(instance: Instance) -> Key:
    """Return an ended instance's position in the order of completion."""
    assert instance.completed_at is not None
    return instance.completed_at, instance.instance_id


def page(
    found: Iterable[Instance], key: Callable[[Instance], Key], after: Key | None, limit: int
) -> list[Instance]:
    """Return the first of `found` in the order of their keys, those after the key `after`."""
    following = (one for one in found if after is None or key(one) > after)
    return sorted(following, key=key)[:limit]


class Store(Protocol):
    """Stores the instances and entities of one task hub; `lock` is the task hub's lock."""

    lock: RLock

    @property
    def problem(self) -> str | None:
        """Why nothing can be saved at present, for the user; None if saving works."""

    def instance(self, instance_id: str) -> Instance | None:
        """Return an instance, None if it does not exist."""

    def put(self, instance: Instance) -> None:
        """Save a new or changed instance."""

    def remove(self, instance_id: str) -> None:
        """Delete an instance, if it exists."""

    def children(self, parent_id: str) -> list[str]:
        """Return the IDs of an instance's sub-orchestrations."""

    def by_creation(self, wanted: Filter, after: Key | None, limit: int) -> list[Instance]:
        """Return instances by creation time and ID, those after the key `after`."""

    def by_completion(self, wanted: Filter, after: Key | None, limit: int) -> list[Instance]:
        """Return ended instances by completion time and ID, those after the key `after`."""

    def newest(self, wanted: Filter, offset: int, limit: int) -> tuple[list[Instance], int]:
        """Return a page of the newest instances, and how many there are in all."""

    def count_by_status(self, wanted: Filter) -> dict[int, int]:
        """Return how many of the wanted instances have each status."""

    def entity(self, entity_id: str) -> Entity | None:
        """Return an entity, None if it does not exist."""

    def put_entity(self, entity: Entity) -> None:
        """Save a new or changed entity."""

    def remove_entity(self, entity_id: str) -> None:
        """Delete an entity, if it exists."""

    def entities(self, wanted: EntityFilter, after: str, limit: int) -> list[Entity]:
        """Return entities by ID, those after the ID `after`."""

    def put_timer(self, timer: Timer) -> None:
        """Save a timer that is in no instance's history: that of a delayed signal."""

    def remove_timer(self, timer: Timer) -> None:
        """Delete a timer, if it was saved."""

    def keep_orphan(self, orphan: OrphanedActivity) -> None:
        """Save an activity that is no longer in an instance's history."""

    def remove_orphan(self, activity: Activity) -> None:
        """Delete an orphaned activity, if it was saved."""

    # State that a starting emulator restores

    def active(self) -> Iterable[Instance]:
        """Return the instances with pending work."""

    def active_entities(self) -> Iterable[Entity]:
        """Return the entities with operations."""

    def timers(self) -> Iterable[Timer]:
        """Return the saved timers."""

    def orphans(self) -> Iterable[OrphanedActivity]:
        """Return the orphaned activities."""

    # Saving

    def ensure_writable(self) -> None:
        """Reject a change that cannot be saved; called before the change.

        Raises:
            UnavailableError: nothing can be saved at present.
        """

    def last_change(self, item_id: str, /) -> int:
        """Return the number of the last change to an instance or entity, 0 if all are saved."""

    def is_saved(self, change: int, /) -> bool:
        """Return whether all changes up to a number are saved."""

    def flush(self, until: int | None = None) -> None:
        """Wait until all changes, or those up to a number, are saved.

        Called without the task hub's lock.

        Raises:
            UnavailableError: they cannot be saved now; saving continues once the problem is solved.
        """

    def when_flushed(self, done: Callable[[str | None], None]) -> None:
        """Call `done`, from any thread, with None once all changes are saved.

        If they cannot be saved now, call it with the reason.
        """

    def close(self) -> None:
        """Save all changes, and close."""
