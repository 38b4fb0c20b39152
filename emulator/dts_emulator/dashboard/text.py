"""Words and numbers as people read them: durations, times, JSON, excerpts of long values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

EXCERPT = 600
"""A value longer than this is cut until the reader asks for all of it."""

MAX_DEPTH = 32
"""JSON that is nested deeper stays as it came: indented, it would be longer than it is deep."""

MAX_GROWTH = 4
"""Nor is it laid out if that makes it more than so many times as long."""

_ALWAYS = 20_000
_WIDTH = 80


@dataclass(frozen=True)
class Excerpt:
    """A value as shown, and its length when only the beginning is."""

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
    """Format a round duration without the zeros that say how exact it is: 1.5 s, 2 s."""
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
    """Format a time to come, no more exact than anybody can know: 1 s, 23 s, 5 min 10 s."""
    seconds = max(1, round(value.total_seconds()))
    return f"{seconds} s" if seconds < 60 else duration(timedelta(seconds=seconds))


def count(number: int, noun: str = "") -> str:
    """Format 1 step, 1,000 steps."""
    return f"{number:,}" + (f" {noun}" + ("" if number == 1 else "s") if noun else "")


def excerpt(value: str, *, whole: bool, length: int = EXCERPT) -> Excerpt:
    """Lay a value out for reading; a long one is only cut, as JSON cannot be laid out in part."""
    if whole or len(value) <= length:
        return Excerpt(pretty(value))
    return Excerpt(value[:length], cut_from=len(value))


def pretty(value: str) -> str:
    """Lay JSON text out with as few lines as fit the width; other text stays as it is."""
    try:
        # Numbers stay as they were written: 1.50 and 10**400 are not for us to round.
        laid_out = _laid_out(parsed(value, MAX_DEPTH, parse_float=_Number, parse_int=_Number))
    except ValueError:
        return value
    return laid_out if len(laid_out) <= max(MAX_GROWTH * len(value), _ALWAYS) else value


def parsed(value: str, max_depth: int, **options: Any) -> Any:
    """Return the value behind a JSON text that a page can show; `options` are those of json.loads.

    Raises:
        ValueError: it is no JSON, is nested too deep, or holds half a character.
    """
    try:
        found = json.loads(value, **options)
    except RecursionError:
        raise ValueError("It is nested too deep.") from None
    level = [found]
    for _ in range(max_depth):
        level = [part for one in level for part in _parts(one) if isinstance(part, (list, dict))]
        if not level:
            break
    else:
        raise ValueError(f"It is nested more than {max_depth} deep.")
    if "\\ud" in value.lower():
        # Half a surrogate pair is valid in JSON, and cannot be sent to any browser.
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def one_line(value: str | None, length: int) -> str:
    """Shorten a value to one line of at most that many characters."""
    if value is None:
        return ""
    line = " ".join(value[: 2 * length].split())
    return line if len(line) <= length and len(value) <= 2 * length else line[: length - 1] + "…"


def short_label(value: str | None, length: int) -> str:
    """Shorten a value as `one_line` does; an object is named by its members: first 1, last 9."""
    if value is not None and value.startswith("{") and len(value) <= EXCERPT:
        with suppress(ValueError):
            members = parsed(value, MAX_DEPTH, parse_float=_Number, parse_int=_Number)
            value = ", ".join(f"{key} {_laid_out(member)}" for key, member in members.items())
    return one_line(value, length)


def as_json(value: object) -> str:
    """Format a plain value as JSON; a text stays as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def rate(per_second: float) -> str:
    """Format 812/s, 0.8/s."""
    return f"{per_second:,.0f}/s" if per_second >= 10 else f"{per_second:.2g}/s"


class _Number(str):
    """A JSON number, digit for digit."""


def _laid_out(value: object) -> str:
    if isinstance(value, _Number):
        return value
    if isinstance(value, list) and value:
        return _bracketed("[", [_laid_out(item) for item in value], "]")
    if isinstance(value, dict) and value:
        pairs = [f"{_laid_out(key)}: {_laid_out(item)}" for key, item in value.items()]
        return _bracketed("{", pairs, "}")
    return json.dumps(value, ensure_ascii=False)


def _bracketed(opening: str, parts: list[str], closing: str) -> str:
    one_line = opening + ", ".join(parts) + closing
    if len(one_line) <= _WIDTH and "\n" not in one_line:
        return one_line
    body = ",\n".join(_flowed(parts) if max(map(len, parts)) <= _WIDTH // 8 else parts)
    return f"{opening}\n  " + body.replace("\n", "\n  ") + f"\n{closing}"


def _flowed(parts: list[str]) -> list[str]:
    """Short parts, as many to a line as fit."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) < _WIDTH:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return lines
