"""Formats values for readers: durations, times, JSON, excerpts of long values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

EXCERPT = 600
"""A longer value is cut, with a link to all of it."""

MAX_DEPTH = 32
"""JSON that is nested more deeply stays unformatted."""

MAX_GROWTH = 4
"""Nor is it indented if that makes it longer by more than this factor."""

_ALWAYS = 20_000
_WIDTH = 80


@dataclass(frozen=True)
class Excerpt:
    """A value as shown, and its full length if it is cut."""

    text: str
    cut_from: int | None = None


def duration(value: timedelta | None) -> str:
    """Format 184 ms, 1.84 s, 2 min 3 s, 3 h 5 min, 2 d 4 h."""
    if value is None:
        return "\N{EN DASH}"
    seconds = value.total_seconds()
    if seconds == 0:
        return "0 s"
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    for unit, below, rest_unit, rest in (("min", 3600, "s", 60), ("h", 86400, "min", 3600)):
        if round(seconds) < below:
            return _two_units(round(seconds), rest, unit, rest // 60, rest_unit)
    return _two_units(round(seconds), 86400, "d", 3600, "h")


def axis_label(value: timedelta) -> str:
    """Format a round duration without trailing zeros: 1.5 s, 2 s."""
    number, unit = duration(value).split(" ", 1)
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def _two_units(seconds: int, big: int, big_unit: str, small: int, small_unit: str) -> str:
    whole, rest = divmod(seconds, big)
    return f"{whole} {big_unit}" + (f" {rest // small} {small_unit}" if rest // small else "")


def iso(value: datetime) -> str:
    """Format a time in UTC as ISO 8601 with milliseconds, for machines and title texts."""
    utc = value.astimezone(timezone.utc).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds") + "Z"


def date_time(value: datetime) -> str:
    """Format a time in UTC for reading: 2026-11-24 03:02:11."""
    return value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def time_of_day(value: datetime) -> str:
    """Format a time of day in UTC to the millisecond: 03:02:11.250."""
    return iso(value)[11:-1]


def about(value: timedelta) -> str:
    """Format an estimated duration: 1 s, 23 s, 5 min 10 s."""
    seconds = max(1, round(value.total_seconds()))
    return f"{seconds} s" if seconds < 60 else duration(timedelta(seconds=seconds))


def count(number: int, noun: str = "") -> str:
    """Format 1 step, 1,000 steps."""
    return f"{number:,}" + (f" {noun}" + ("" if number == 1 else "s") if noun else "")


def excerpt(value: str, *, whole: bool, length: int = EXCERPT) -> Excerpt:
    """Format a value; a long one is cut without formatting, which needs all of its JSON."""
    if whole or len(value) <= length:
        return Excerpt(pretty(value))
    return Excerpt(value[:length], cut_from=len(value))


def pretty(value: str) -> str:
    """Indent JSON text that does not fit on a line; other text is unchanged."""
    try:
        found = parsed(value, MAX_DEPTH, parse_float=_exact)
    except ValueError:
        return value
    line = json.dumps(found, ensure_ascii=False)
    shown = line if len(line) <= _WIDTH else json.dumps(found, ensure_ascii=False, indent=2)
    return shown if len(shown) <= max(MAX_GROWTH * len(value), _ALWAYS) else value


def _exact(number: str) -> float:
    """Parse a number; reject 1.50 and 1e400, which would be printed differently."""
    value = float(number)
    if repr(value) != number:
        raise ValueError(f"{number} would be shown as {value}")
    return value


def parsed(value: str, max_depth: int, **options: Any) -> Any:
    """Parse JSON text that a page can show; `options` are those of json.loads.

    Raises:
        ValueError: it is invalid, nested too deeply, or contains half a surrogate pair.
    """
    try:
        found = json.loads(value, **options)
    except RecursionError:
        raise ValueError("It is nested too deeply.") from None
    level = [found]
    for _ in range(max_depth):
        level = [part for one in level for part in _parts(one) if isinstance(part, (list, dict))]
        if not level:
            break
    else:
        raise ValueError(f"It is nested more than {max_depth} levels deep.")
    if "\\ud" in value.lower():
        # Half a surrogate pair is valid in JSON, but not in UTF-8.
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def one_line(value: str | None, length: int) -> str:
    """Shorten a value to one line of at most `length` characters."""
    if value is None:
        return ""
    line = " ".join(value[: 2 * length].split())
    return line if len(line) <= length and len(value) <= 2 * length else line[: length - 1] + "…"


def short_label(value: str | None, length: int) -> str:
    """Shorten a value as `one_line` does; an object is named by its members: first 1, last 9."""
    if value is not None and value.startswith("{") and len(value) <= EXCERPT:
        with suppress(ValueError):
            members = parsed(value, MAX_DEPTH, parse_float=_exact)
            value = ", ".join(
                f"{key} {json.dumps(member, ensure_ascii=False)}" for key, member in members.items()
            )
    return one_line(value, length)


def as_json(value: object) -> str:
    """Format a plain value as JSON; text is unchanged."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def rate(per_second: float) -> str:
    """Format 812/s, 0.8/s."""
    return f"{per_second:,.0f}/s" if per_second >= 10 else f"{per_second:.2g}/s"
