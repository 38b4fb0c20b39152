"""Compares the steps of two runs of a turn: the recorded one and a new one, or two new ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from dts_emulator.engine.steps import END, Step

# How much of a step is shown, and how much of it before the first difference.
SHOWN = 100
SHOWN_BEFORE = 30

NOTHING = "nothing"


@dataclass(frozen=True)
class Mismatch:
    """The first step in which two runs of a turn differ; None if a run has no such step.

    `index` is its position in the turn, from 0. `what` names the value that differs.
    """

    index: int
    before: Step | None
    after: Step | None
    what: str

    def texts(self) -> tuple[str, str]:
        """Return both steps as one line each, cut to where they differ."""
        before, after = _text(self.before), _text(self.after)
        if self.what == "number" and self.before is not None and self.after is not None:
            return (
                f"{_cut(before, '')} as task {self.before.number}",
                f"{_cut(after, '')} as task {self.after.number}",
            )
        return _cut(before, after), _cut(after, before)

    def summary(self) -> str:
        """Return both values and their name."""
        before, after = self.before, self.after
        if before is None or after is None or self.what in ("kind", "name", "number"):
            return " and ".join(self.texts())
        one, other = (_value(step, self.what) for step in (before, after))
        subject = before.name if before.kind != END else "the orchestration"
        return f"{self.what} of {subject or before.kind}: {_cut(one, other)} and {_cut(other, one)}"


def first_mismatch(before: Sequence[Step], after: Sequence[Step]) -> Mismatch | None:
    """Return the first step that differs, None if two runs of a turn are the same."""
    for index, (one, other) in enumerate(zip_longest(before, after)):
        what = "step" if one is None or other is None else _differing(one, other)
        if what is not None:
            return Mismatch(index, one, other, what)
    return None


def _differing(one: Step, other: Step) -> str | None:
    """Return the name of the value in which two steps differ, None if they are the same."""
    if one.kind != other.kind:
        return "kind"
    # Event names are case-insensitive.
    if one.name != other.name and (one.kind, one.name.casefold()) != (
        "event",
        other.name.casefold(),
    ):
        return "name"
    if not same_json(one.payload, other.payload):
        return _payload_of(one)
    for what in [*one.details, *(set(other.details) - set(one.details))]:
        if one.details.get(what) != other.details.get(what):
            return what
    # Ends and unlocks are not matched by number.
    return "number" if one.number != other.number and one.kind != "entity unlock" else None


def _payload_of(step: Step) -> str:
    return {END: "result", "event": "data"}.get(step.kind, "input")


def _value(step: Step, what: str) -> str:
    value = step.payload if what == _payload_of(step) else step.details.get(what)
    return value or "none"


def same_json(one: str | None, other: str | None) -> bool:
    """Return whether two JSON texts have the same value; a missing one is null."""
    if one == other:
        return True
    try:
        return _same(json.loads(one or "null"), json.loads(other or "null"))
    except (ValueError, RecursionError):
        return False


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    # In Python, True equals 1, and NaN not even itself.
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other or (one != one and other != other))


def _text(step: Step | None) -> str:
    """Return a step as one line."""
    if step is None:
        return NOTHING
    payload, details = step.payload or "", step.details
    call = f"{step.name}({payload})"
    version = f" in version {details['version']}" if details.get("version") else ""
    match step.kind:
        case "activity":
            return f"activity {call}{version}"
        case "timer":
            return f"timer until {details['fire time']}"
        case "sub-orchestration":
            return f"sub-orchestration {call}{version} as {details['instance ID']}"
        case "event":
            return f"event {call} to {details['target']}"
        case "entity call" | "entity signal":
            due = f" at {details['scheduled time']}" if details.get("scheduled time") else ""
            return f"{step.kind} {details['entity']} {call}{due}"
        case "entity lock":
            section = details["critical section"]
            return f"entity lock of {details['entities']} (critical section {section})"
        case "entity unlock":
            section = details["critical section"]
            return f"entity unlock of {details['entity']} (critical section {section})"
    return _end_text(step)


def _end_text(step: Step) -> str:
    reason = step.failed_with
    if reason is not None:
        return f"end: {step.name} with {reason}: {step.details['error message']}"
    carried = step.details.get("carried events")
    suffix = f", carrying {carried}" if carried else ""
    return f"end: {step.name} with {step.payload or 'null'}{suffix}"


def _cut(text: str, other: str) -> str:
    """Return one line with the beginning of a text and its first difference from another."""
    text, other = _one_line(text), _one_line(other)
    if len(text) <= SHOWN:
        return text
    differs = next((at for at, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), 0)
    start = differs - SHOWN_BEFORE
    if differs < SHOWN - 5:
        return f"{text[: SHOWN - 3]}..."
    head = text[:SHOWN_BEFORE]
    tail = text[start : start + SHOWN - SHOWN_BEFORE]
    return f"{head}...{tail}{'...' if start + SHOWN - SHOWN_BEFORE < len(text) else ''}"


def _one_line(text: str) -> str:
    return " ".join(text.split()) if "\n" in text or "\r" in text else text
