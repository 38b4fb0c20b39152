"""The history as one reads it: by time, in turns of the orchestrator, one line for each turn.

A turn is stamped when a worker is given it, and takes in what has arrived before, under earlier
times. A list by time never runs backwards: what arrived during a turn stands in that turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from durabletask.history import HistoryEvent

from dts_emulator.dashboard.json_twin import event_fields, event_type
from dts_emulator.dashboard.models import InstanceDetail


@dataclass(frozen=True)
class Entry:
    """One history event; `turn`: which turn had begun by then, `arrived`: none has taken it in."""

    number: int
    turn: int
    event: HistoryEvent
    arrived: bool

    @property
    def type(self) -> str:
        """What has happened, as the protocol names it."""
        return event_type(self.event)

    @property
    def timestamp(self) -> datetime:
        """When it happened."""
        return self.event.timestamp

    @property
    def fields(self) -> Mapping[str, str]:
        """What it carries."""
        return event_fields(self.event)


@dataclass(frozen=True)
class Turn:
    """The events from one turn's beginning to the next's, as far as a page shows them.

    `counts` tells how many there are of each type in the whole turn; `is_continued`: the page
    before has shown its beginning.
    """

    number: int
    entries: Sequence[Entry]
    counts: Mapping[str, int]
    is_continued: bool

    @property
    def timestamp(self) -> datetime:
        """When the first of these events happened."""
        return self.entries[0].timestamp


def log_of(detail: InstanceDetail) -> list[Entry]:
    """Return all events of an instance by time; those of one moment stay in the history's order."""
    known = [(event, False) for event in detail.history]
    known += [(event, True) for event in detail.arrived]
    known.sort(key=lambda entry: entry[0].timestamp)
    log: list[Entry] = []
    turn = 0
    for number, (event, arrived) in enumerate(known, start=1):
        turn += event_type(event) == "OrchestratorStarted"
        # What came before the first turn, the instance's own start, belongs to it.
        log.append(Entry(number, max(turn, 1), event, arrived))
    return log


def turns_of(log: Sequence[Entry], start: int, stop: int) -> list[Turn]:
    """Return the turns of the events from `start` to before `stop`."""
    shown = log[start:stop]
    numbers = {entry.turn for entry in shown}
    counts: dict[int, Counter[str]] = {number: Counter() for number in numbers}
    for entry in log:
        if entry.turn in numbers and entry.type != "OrchestratorStarted":
            counts[entry.turn][entry.type] += 1
    return [
        Turn(
            number,
            entries := list(group),
            counts[number],
            entries[0].number > 1 and log[entries[0].number - 2].turn == number,
        )
        for number, group in groupby(shown, key=lambda entry: entry.turn)
    ]
