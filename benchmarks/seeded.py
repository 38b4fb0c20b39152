"""The delays of the work items, the same in every measurement."""

from __future__ import annotations

import random

import worker

SEED = 20_250_423


def delays(count: int) -> list[float]:
    """Return how many seconds the items 1 to `count` take, as the quickstart's items do."""
    numbers = random.Random(SEED)
    return [numbers.uniform(worker.MIN_WORK_SECONDS, worker.MAX_WORK_SECONDS) for _ in range(count)]
