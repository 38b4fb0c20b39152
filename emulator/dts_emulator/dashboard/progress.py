"""The progress of a run with its sub-orchestrations: as counts, as text and as a bar."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from dts_emulator.dashboard import text
from dts_emulator.dashboard.models import InstanceView
from dts_emulator.engine.errors import UnavailableError
from dts_emulator.engine.model import Instance, StepCounts, Summary
from dts_emulator.engine.step_counts import StepCounter, summarize
from dts_emulator.store import Store

# The number of cached counters; beyond it, the oldest is dropped.
REMEMBERED = 4096

# The number of ended steps from which the remaining time is estimated.
_FEW = 10


@dataclass(frozen=True)
class Progress:
    """The counts of steps, also as text in `words`; widths of the bar are in percent."""

    finished: int
    failed: int
    total: int
    words: str

    @property
    def done_width(self) -> float:
        """The successful part of the bar."""
        return round((self.finished - self.failed) / self.total * 100, 2)

    @property
    def failed_width(self) -> float:
        """The failed part of the bar."""
        return round(self.failed / self.total * 100, 2)


def progress_of(view: InstanceView, now: datetime) -> Progress | None:
    """Return the progress of an instance, None if there are no steps."""
    counts = view.progress
    if counts is None:
        return None
    name = _items(counts)
    asked, done, failed = (
        Counter({name: c[name]}) if name else c for c in (counts.asked, counts.done, counts.failed)
    )
    failures = failed.total()
    finished, total = done.total() + failures, asked.total()
    noun = "item" if name else "step"
    if not total and counts.parts:
        words = f"{counts.parts_ended:,} of {text.count(counts.parts, 'sub-orchestration')} done"
        return Progress(counts.parts_ended, 0, counts.parts, words)
    if not total:
        return None
    words = _words(counts, finished, failures, total, noun)
    if view.status == "RUNNING":
        words += _pace(counts, finished, total, now)
    return Progress(finished, failures, total, words)


def _items(counts: StepCounts) -> str | None:
    """Return the name of the activity that nearly all the sub-orchestrations' steps have."""
    if not counts.parts or not counts.asked:
        return None
    [(name, count)] = counts.asked.most_common(1)
    return name if count >= 0.9 * counts.asked.total() else None


def _words(counts: StepCounts, finished: int, failures: int, total: int, noun: str) -> str:
    at_least = "at least " if counts.unstarted else ""
    words = f"{finished:,} of {at_least}{text.count(total, noun)}"
    if counts.parts:
        words += f" in {text.count(counts.parts, 'part')}"
        if counts.unstarted:
            words += f" ({counts.unstarted:,} not started)"
    else:
        words += " done"
    return words + (f", {failures:,} failed" if failures else "")


def _pace(counts: StepCounts, finished: int, total: int, now: datetime) -> str:
    seconds = now.timestamp() - counts.first_at / 1e9
    if finished < _FEW or finished == total or seconds <= 0:
        return ""
    per_second = finished / max(seconds, 1)
    words = f", {text.rate(per_second)}"
    if counts.unstarted:
        return words
    return words + f", about {text.about(timedelta(seconds=(total - finished) / per_second))} left"


def throughput(counts: StepCounts) -> str:
    """Return the steps per second of an ended run, empty if too short to be meaningful."""
    seconds = (counts.last_at - counts.first_at) / 1e9
    finished = counts.done.total() + counts.failed.total()
    return text.rate(finished / seconds) if seconds >= 1 and finished >= _FEW else ""


class TreeProgress:
    """Counts the steps of the instances in a store, including their descendants.

    It caches counters, so that a refresh reads only new events. Called under the task hub's lock.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._under_way: dict[tuple[str, str], StepCounter] = {}

    def progress(self, instance: Instance) -> StepCounts:
        """Return the counts of an instance's activities and those of all its descendants."""
        whole = StepCounts()
        whole.add(self.summary(instance).counts)
        seen = {instance.instance_id}
        todo = self._store.children(instance.instance_id)
        while todo:
            child = self._store.instance(todo.pop())
            if child is None or child.instance_id in seen:
                continue
            seen.add(child.instance_id)
            summary = self.summary(child)
            whole.add(summary.counts)
            whole.parts += 1
            whole.parts_ended += child.has_ended
            whole.unstarted += summary.first_turn_at is None and not child.has_ended
            todo += self._store.children(child.instance_id)
        return whole

    def summary(self, instance: Instance) -> Summary:
        """Return the summary of an instance without its sub-orchestrations."""
        key = instance.instance_id, instance.execution_id
        if instance.summary is not None:
            self._under_way.pop(key, None)
            return instance.summary
        counter = self._under_way.get(key)
        if counter is None or counter.is_past(instance.history):
            counter = self._under_way[key] = StepCounter()
            if len(self._under_way) > REMEMBERED:
                del self._under_way[next(iter(self._under_way))]
        try:
            return summarize(instance, counter)
        except UnavailableError:  # A damaged record must not hide a page with others.
            return Summary(StepCounts(), None)
