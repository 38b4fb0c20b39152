"""An instance together with its sub-orchestrations: how far all of them are."""

from __future__ import annotations

from emulator.engine.model import Instance
from emulator.store import Store
from emulator.tally import Counting, Tally

# How many instances' counts are remembered; beyond, the longest known are counted anew.
REMEMBERED = 4096


class Families:
    """Counts the steps of the instances in a store, through their sub-orchestrations.

    It remembers what it has counted, so that looking again costs only what is new. Called under
    the task hub's lock.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, str], Counting] = {}

    def progress(self, instance: Instance) -> Tally:
        """Return the counts of an instance's activities and those of all its descendants."""
        whole = self._own(instance)
        seen = {instance.instance_id}
        todo = self._store.children(instance.instance_id)
        while todo:
            child = self._store.instance(todo.pop())
            if child is None or child.instance_id in seen:
                continue
            seen.add(child.instance_id)
            whole.add(self._own(child))
            whole.parts += 1
            whole.parts_ended += child.has_ended
            whole.unstarted += child.is_untouched and not child.has_ended
            todo += self._store.children(child.instance_id)
        return whole

    def _own(self, instance: Instance) -> Tally:
        key = instance.instance_id, instance.execution_id
        counting = self._known.get(key)
        if counting is None or counting.is_past(instance.history):
            counting = self._known[key] = Counting()
            if len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]
        return counting.read(instance.history, instance.inbox)


def first_turn_at(instance: Instance) -> int | None:
    """Return when a worker was given an instance's first turn, None before that."""
    if instance.history and instance.history[0].HasField("orchestratorStarted"):
        started = instance.history[0].timestamp
    elif instance.turn is not None:
        started = instance.turn.started.timestamp
    else:
        return None
    return started.seconds * 1_000_000_000 + started.nanos
