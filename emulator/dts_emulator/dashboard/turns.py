"""The history by turns of the orchestrator, one line for each turn.

A turn begins when it is dispatched; its events arrived before that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from durabletask.history import HistoryEvent

from dts_emulator.dashboard.models import InstanceDetail
from dts_emulator.dashboard.sdk_history import event_fields, type_name


@dataclass(frozen=True)
class Entry:
    """A history event; `turn`: the current turn, `arrived`: no turn has processed it yet."""

    number: int
    turn: int
    event: HistoryEvent
    arrived: bool

    @property
    def type(self) -> str:
        """The event type in the protocol."""
        return type_name(self.event)

    @property
    def timestamp(self) -> datetime:
        """When it happened."""
        return self.event.timestamp

    @property
    def fields(self) -> Mapping[str, str]:
        """Its fields."""
        return event_fields(self.event)


@dataclass(frozen=True)
class Turn:
    """The events of a turn on one page.

    `counts` has the number of each type in the whole turn; `is_continued`: its beginning is on
    the previous page.
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
    """Return all events of an instance; unprocessed ones belong to the next turn."""
    log: list[Entry] = []
    turn = 0
    for event in detail.history:
        turn += type_name(event) == "OrchestratorStarted"
        # Earlier events, such as the start of the instance, belong to the first turn.
        log.append(Entry(len(log) + 1, max(turn, 1), event, arrived=False))
    for event in detail.arrived:
        log.append(Entry(len(log) + 1, turn + 1, event, arrived=True))
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
