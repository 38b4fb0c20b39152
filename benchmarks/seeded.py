"""The delays of the work items, the same in every measurement."""

from __future__ import annotations

import random

SEED = 20_250_423

# The quickstart's. Not read from worker.py: the limit should not have to import the SDK.
MIN_WORK_SECONDS = 0.5
MAX_WORK_SECONDS = 2.0


def delays(count: int) -> list[float]:
    """Return how many seconds the items 1 to `count` take, as the quickstart's items do."""
    numbers = random.Random(SEED)
    return [numbers.uniform(MIN_WORK_SECONDS, MAX_WORK_SECONDS) for _ in range(count)]
