"""What of a task hub has changed and is not on disk yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from weakref import WeakKeyDictionary

from dts_emulator.engine.model import Activity, Entity, Instance, Timer
from dts_emulator.store import OrphanedActivity
from dts_emulator.store.codec import Part, entity_row, instance_row, is_active
from dts_emulator.store.reader import Record
from dts_emulator.store.writer import Changes

Item = Instance | Entity


def id_of(item: Item) -> str:
    """Return the ID of an instance or entity; no two of a task hub are the same."""
    return item.instance_id if isinstance(item, Instance) else item.entity_id


class Pending:
    """Gathers changes until they are taken. Every change has a number. Called under the lock.

    Args:
        hub: the task hub's number in the file.
        new_number: returns a number for new rows.
    """

    def __init__(self, hub: int, new_number: Callable[[], int]) -> None:
        self.last = 0
        self._hub = hub
        self._new_number = new_number
        self._taken = 0
        self._records: WeakKeyDictionary[Item, Record] = WeakKeyDictionary()
        # By ID, in the order of the last change of each, with its number.
        self._unsaved: dict[str, tuple[int, Item]] = {}
        # By ID: the number of the last removal, and of the rows that do not count any more.
        self._gone: dict[str, tuple[int, tuple[int, ...]]] = {}
        self._timers: dict[Timer, int] = {}
        self._orphans: dict[int, tuple[int, OrphanedActivity]] = {}
        self._next = Changes(0)

    def register_saved(self, item: Item, record: Record) -> None:
        """Take note of what is on disk of an instance or entity that was read."""
        record.is_on_disk = True
        self._records[item] = record

    def put(self, item: Item) -> None:
        """Take note that an instance or entity is new or has changed."""
        self.last += 1
        item_id = id_of(item)
        self._unsaved.pop(item_id, None)  # What changes last comes last.
        self._unsaved[item_id] = self.last, item

    def remove(self, item: Item) -> None:
        """Take note that an instance or entity is to be forgotten."""
        self.last += 1
        item_id = id_of(item)
        self._unsaved.pop(item_id, None)
        record = self._records.pop(item, None)
        if record is None or not record.is_on_disk:
            return
        _, earlier = self._gone.get(item_id, (0, ()))
        self._gone[item_id] = self.last, (*earlier, record.number)
        is_instance = isinstance(item, Instance)
        removed = self._next.removed_instances if is_instance else self._next.removed_entities
        removed.append(record.number)

    def is_gone(self, item_id: str) -> bool:
        """Return whether what is on disk with this ID does not count any more."""
        return item_id in self._gone

    def unsaved(self) -> Iterator[Item]:
        """Return the instances and entities of which the file does not have all."""
        return (item for _, item in self._unsaved.values())

    def outdated(self) -> list[int]:
        """Return the numbers of the rows on disk that have changed or are gone."""
        numbers = [number for _, gone in self._gone.values() for number in gone]
        for item in self.unsaved():
            record = self._records.get(item)
            if record is not None:
                numbers.append(record.number)
        return numbers

    def register_saved_timer(self, number: int, timer: Timer) -> None:
        """Take note of a timer that is on disk."""
        self._timers[timer] = number

    def put_timer(self, timer: Timer) -> None:
        """Take note of a new timer."""
        self.last += 1
        number = self._timers[timer] = self._new_number()
        self._next.timers.append((number, self._hub, timer.due, timer.target, timer.event))

    def remove_timer(self, timer: Timer) -> None:
        """Take note that a timer is over."""
        number = self._timers.pop(timer, None)
        if number is not None:
            self.last += 1
            self._next.removed_timers.append(number)
            self._next.timers = [row for row in self._next.timers if row[0] != number]

    def register_saved_orphan(self, number: int, orphan: OrphanedActivity) -> None:
        """Take note of an orphaned activity that is on disk."""
        self._orphans[id(orphan.activity.scheduled)] = number, orphan

    def keep_orphan(self, orphan: OrphanedActivity) -> None:
        """Take note of a newly orphaned activity."""
        self.last += 1
        number = self._new_number()
        self.register_saved_orphan(number, orphan)
        activity = orphan.activity
        row = (number, self._hub, activity.instance_id, orphan.version, activity.scheduled)
        self._next.orphans.append(row)

    def remove_orphan(self, activity: Activity) -> bool:
        """Take note that an activity is over; return whether it was orphaned."""
        number, _ = self._orphans.pop(id(activity.scheduled), (None, None))
        if number is None:
            return False
        self.last += 1
        self._next.removed_orphans.append(number)
        self._next.orphans = [row for row in self._next.orphans if row[0] != number]
        return True

    def take(self) -> Changes | None:
        """Return all that has changed since the last call, None if nothing has."""
        if self.last == self._taken:
            return None
        changes, self._next = self._next, Changes(0)
        taken, self._taken = self._taken, self.last
        changes.until = self.last
        for item in self._untaken(taken):
            record = self._records.get(item)
            if record is None:
                record = self._records[item] = Record(self._new_number())
            record.is_on_disk = True
            if isinstance(item, Instance):
                self._take_instance(item, record, changes)
            else:
                self._take_entity(item, record, changes)
        return changes

    def _untaken(self, taken: int) -> list[Item]:
        latest = takewhile(lambda entry: entry[0] > taken, reversed(self._unsaved.values()))
        return [item for _, item in latest][::-1]

    def written(self, until: int) -> list[Item]:
        """Take note of what is on disk; return what has no need to stay in memory any more."""
        self._gone = {key: gone for key, gone in self._gone.items() if gone[0] > until}
        saved = list(takewhile(lambda entry: entry[0] <= until, self._unsaved.values()))
        for _, item in saved:
            del self._unsaved[id_of(item)]
        return [item for _, item in saved if not is_active(item)]

    def _take_instance(self, instance: Instance, record: Record, changes: Changes) -> None:
        number = record.number
        # First: if they are still to be read, this completes the record.
        history, inbox = instance.history, instance.inbox
        for part, trail, events in (
            (Part.HISTORY, record.history, history),
            (Part.INBOX, record.inbox, inbox),
        ):
            first = trail.first
            news = trail.advance(events)
            if trail.first > first:
                changes.removed_parts.append((number, part, trail.first))
            if news:
                changes.parts.append((number, part, trail.until, news))
        times_first = record.dispatch_times.first
        times = record.dispatch_times.advance(instance.dispatch_times)
        if record.dispatch_times.first > times_first:
            changes.removed_parts.append((number, Part.DISPATCH_TIMES, record.dispatch_times.first))
        if times:
            changes.parts.append((number, Part.DISPATCH_TIMES, record.dispatch_times.until, times))
        for part, value in ((Part.INPUT, instance.input), (Part.OUTPUT, instance.output)):
            if value is record.texts.get(part):
                continue
            record.texts[part] = value
            if value is None:
                changes.removed_parts.append((number, part, 0))
            else:
                changes.parts.append((number, part, 0, value))
        froms = record.history.first, record.inbox.first
        changes.instances.append(instance_row(instance, number, self._hub, froms))

    def _take_entity(self, entity: Entity, record: Record, changes: Changes) -> None:
        trail, number = record.queue, record.number
        first = trail.first
        # What a worker has is offered to another one after the emulator's end.
        news = trail.advance([*entity.batch, *entity.queue], may_reorder=True)
        if trail.first > first:
            changes.removed_parts.append((number, Part.QUEUE, trail.first))
        if news:
            changes.parts.append((number, Part.QUEUE, trail.until, news))
        changes.entities.append(entity_row(entity, number, self._hub, trail.first))
