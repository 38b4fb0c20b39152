"""An instance together with its sub-orchestrations: how far all of them are."""

from __future__ import annotations

from dts_emulator.engine.model import Instance
from dts_emulator.engine.tally import Counting, Summary, Tally, summarized
from dts_emulator.store import Store

# How many instances' counts are remembered; beyond, the longest known are counted anew.
REMEMBERED = 4096


class Families:
    """Counts the steps of the instances in a store, through their sub-orchestrations.

    It remembers what it has counted, so that looking again costs only what is new. Called under
    the task hub's lock.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._under_way: dict[tuple[str, str], Counting] = {}

    def progress(self, instance: Instance) -> Tally:
        """Return the counts of an instance's activities and those of all its descendants."""
        whole = Tally()
        whole.add(self.summary(instance).tally)
        seen = {instance.instance_id}
        todo = self._store.children(instance.instance_id)
        while todo:
            child = self._store.instance(todo.pop())
            if child is None or child.instance_id in seen:
                continue
            seen.add(child.instance_id)
            summary = self.summary(child)
            whole.add(summary.tally)
            whole.parts += 1
            whole.parts_ended += child.has_ended
            whole.unstarted += summary.first_turn_at is None and not child.has_ended
            todo += self._store.children(child.instance_id)
        return whole

    def summary(self, instance: Instance) -> Summary:
        """Return what is known of an instance without its sub-orchestrations."""
        key = instance.instance_id, instance.execution_id
        if instance.summary is not None:
            self._under_way.pop(key, None)
            return instance.summary
        counting = self._under_way.get(key)
        if counting is None or counting.is_past(instance.history):
            counting = self._under_way[key] = Counting()
            if len(self._under_way) > REMEMBERED:
                del self._under_way[next(iter(self._under_way))]
        return summarized(instance, counting)
