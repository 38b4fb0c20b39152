"""The lists of a state file's instances and entities, each page by an index."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from dts_emulator.store import EntityFilter, Filter, Key
from dts_emulator.store.codec import (
    ENTITY_COLUMNS,
    INSTANCE_COLUMNS,
    readable_status,
    within_64_bits,
)
from dts_emulator.store.reader import Reader

_TAG = "? IN (key, value, key || '=' || value)"


class Lists:
    """Finds the rows of one task hub: a page of INSTANCE_COLUMNS or ENTITY_COLUMNS each.

    Args:
        outdated: returns the numbers of the rows that do not count.
    """

    def __init__(self, reader: Reader, outdated: Callable[[], list[int]]) -> None:
        self._reader = reader
        self._outdated = outdated

    def by_creation(self, wanted: Filter, after: Key | None, limit: int) -> list[Any]:
        """Return instances by creation time and ID, those after the key `after`."""
        where, values = self._condition(wanted)
        if after is not None:
            where += " AND (created_at, id) > (?, ?)"
            values += [within_64_bits(after[0]), after[1]]
        return self._instances(f"{where} ORDER BY created_at, id LIMIT ?", [*values, limit])

    def by_completion(self, wanted: Filter, after: Key | None, limit: int) -> list[Any]:
        """Return ended instances by completion time and ID, those after the key `after`."""
        where, values = self._condition(wanted)
        where += " AND completed_at IS NOT NULL"
        if after is not None:
            where += " AND (completed_at, id) > (?, ?)"
            values += [within_64_bits(after[0]), after[1]]
        return self._instances(f"{where} ORDER BY completed_at, id LIMIT ?", [*values, limit])

    def newest(self, wanted: Filter, offset: int, limit: int) -> tuple[list[Any], int]:
        """Return a page of the newest instances, and how many there are in all."""
        where, values = self._condition(wanted)
        order = "ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
        page = self._instances(f"{where} {order}", [*values, limit, offset])
        counted = self._reader.rows(f"SELECT count(*) FROM instances WHERE {where}", *values)
        return page, counted[0][0]

    def count_by_status(self, wanted: Filter) -> Counter[int]:
        """Return how many of the wanted instances have each status."""
        where, values = self._condition(wanted)
        query = f"SELECT status, count(*) FROM instances WHERE {where} GROUP BY status"
        counts = Counter[int]()
        for status, count in self._reader.rows(query, *values):
            counts[readable_status(status)] += count
        return counts

    def entities(self, wanted: EntityFilter, after: str, limit: int) -> list[Any]:
        """Return entities by ID, those after the ID `after`."""
        where = "hub = ? AND id > ? AND substr(id, 1, ?) = ?"
        values: list[Any] = [after, len(wanted.prefix), wanted.prefix]
        where, values = _between(
            "updated_at", wanted.modified_from, wanted.modified_to, where, values
        )
        where, values = self._up_to_date(where, values)
        if not wanted.with_stateless:
            where += " AND state IS NOT NULL"
        columns = ", ".join(ENTITY_COLUMNS)
        query = f"SELECT {columns} FROM entities WHERE {where} ORDER BY id LIMIT ?"
        return self._reader.rows(query, *values, limit)

    def _condition(self, wanted: Filter) -> tuple[str, list[Any]]:
        """Return a filter as SQL, and the values for it after the task hub's number."""
        where, values = self._up_to_date("hub = ?", [])
        if wanted.statuses:
            where += f" AND status IN ({', '.join('?' * len(wanted.statuses))})"
            values += [int(status) for status in sorted(wanted.statuses)]
        where, values = _between(
            "created_at", wanted.created_from, wanted.created_to, where, values
        )
        where, values = _between(
            "completed_at", wanted.completed_from, wanted.completed_to, where, values
        )
        if wanted.prefix:
            where += " AND substr(id, 1, ?) = ?"
            values += [len(wanted.prefix), wanted.prefix]
        if wanted.top_level:
            where += " AND parent_id IS NULL"
        if wanted.tag:
            # Most have no tags; to read them as JSON takes ten times as long as to see that.
            where += f" AND tags <> '{{}}' AND EXISTS (SELECT 1 FROM json_each(tags) WHERE {_TAG})"
            values.append(wanted.tag)
        if wanted.search:
            where += " AND instr(search, ?) > 0"
            values.append(wanted.search.casefold())
        return where, values

    def _up_to_date(self, where: str, values: list[Any]) -> tuple[str, list[Any]]:
        """Leave the rows out that do not count."""
        outdated = self._outdated()
        if not outdated:
            return where, values
        without = f"{where} AND number NOT IN (SELECT value FROM json_each(?))"
        return without, [*values, json.dumps(outdated)]

    def _instances(self, where: str, values: list[Any]) -> list[Any]:
        """Return the rows of a page in its order. Which they are, an index alone says."""
        numbers = self._reader.rows(f"SELECT number FROM instances WHERE {where}", *values)
        columns = ", ".join(INSTANCE_COLUMNS)
        query = f"SELECT {columns} FROM instances WHERE hub = ? AND number = ?"
        return [row for (number,) in numbers for row in self._reader.rows(query, number)]


def _between(
    column: str, start: int | None, end: int | None, where: str, values: list[Any]
) -> tuple[str, list[Any]]:
    if start is not None:
        where, values = f"{where} AND {column} >= ?", [*values, within_64_bits(start)]
    if end is not None:
        where, values = f"{where} AND {column} < ?", [*values, within_64_bits(end)]
    return where, values
