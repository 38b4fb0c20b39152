"""What fits one input: the service takes at most 1 MB, and the stand-in emulator 1 MiB.

https://learn.microsoft.com/azure/durable-task/scheduler/durable-task-scheduler
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from durabletask.serialization import DEFAULT_DATA_CONVERTER

# As JSON in ASCII, as the SDK sends it.
MAX_INPUT_BYTES = 900_000


def split(values: Sequence[Any], most: int) -> list[list[Any]]:
    """Return the values in lists of at most `most`, each small enough for one input.

    There is always one list. A value that is too large by itself has a list of its own.
    """
    pieces: list[list[Any]] = [[]]
    room = MAX_INPUT_BYTES
    for value in values:
        size = len(DEFAULT_DATA_CONVERTER.serialize(value) or "null") + len(", ")
        if pieces[-1] and (len(pieces[-1]) == most or size > room):
            pieces.append([])
            room = MAX_INPUT_BYTES
        pieces[-1].append(value)
        room -= size
    return pieces
