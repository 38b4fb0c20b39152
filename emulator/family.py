"""An instance together with its sub-orchestrations: how far all of them are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from emulator.engine.events import nanoseconds
from emulator.engine.model import Instance
from emulator.store import Store
from emulator.tally import Counting, Tally

Key = TypeVar("Key")
Value = TypeVar("Value")

# How many instances' counts are remembered; beyond, the longest known are counted anew.
REMEMBERED = 4096


@dataclass(frozen=True)
class Member:
    """What is known of one instance by itself: its activities, and when its first turn was."""

    tally: Tally
    first_turn_at: int | None


class Families:
    """Counts the steps of the instances in a store, through their sub-orchestrations.

    It remembers what it has counted, so that looking again costs only what is new: an instance
    that has ended is not even read again. Called under the task hub's lock.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._under_way: dict[tuple[str, str], Counting] = {}
        self._ended: dict[tuple[str, str, int], Member] = {}

    def progress(self, instance: Instance) -> Tally:
        """Return the counts of an instance's activities and those of all its descendants."""
        whole = Tally()
        whole.add(self.member(instance).tally)
        seen = {instance.instance_id}
        todo = self._store.children(instance.instance_id)
        while todo:
            child = self._store.instance(todo.pop())
            if child is None or child.instance_id in seen:
                continue
            seen.add(child.instance_id)
            member = self.member(child)
            whole.add(member.tally)
            whole.parts += 1
            whole.parts_ended += child.has_ended
            whole.unstarted += member.first_turn_at is None and not child.has_ended
            todo += self._store.children(child.instance_id)
        return whole

    def member(self, instance: Instance) -> Member:
        """Return what is known of an instance without its sub-orchestrations."""
        if not instance.has_ended:
            return self._count(instance)
        key = instance.instance_id, instance.execution_id, instance.updated_at
        known = self._ended.get(key)
        if known is None:
            known = self._count(instance)
            _remember(self._ended, key, known)
            del self._under_way[key[:2]]
        return known

    def _count(self, instance: Instance) -> Member:
        key = instance.instance_id, instance.execution_id
        counting = self._under_way.get(key)
        if counting is None or counting.is_past(instance.history):
            counting = Counting()
            _remember(self._under_way, key, counting)
        tally = counting.read(instance.history, instance.inbox)
        return Member(tally, _first_turn_at(instance))


def _remember(known: dict[Key, Value], key: Key, value: Value) -> None:
    known[key] = value
    if len(known) > REMEMBERED:
        del known[next(iter(known))]


def _first_turn_at(instance: Instance) -> int | None:
    """Return when a worker was given an instance's first turn, None before that."""
    if instance.history and instance.history[0].HasField("orchestratorStarted"):
        started = instance.history[0].timestamp
    elif instance.turn is not None:
        started = instance.turn.started.timestamp
    else:
        return None
    return nanoseconds(started)
