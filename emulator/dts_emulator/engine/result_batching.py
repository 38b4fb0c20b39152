"""How long an orchestrator's turn waits for further results."""

from __future__ import annotations

from dts_emulator.engine.events import MILLISECOND, is_task_result
from dts_emulator.engine.model import Instance

# The history length from which results wait for others, and how long they wait.
LONG_HISTORY = 100
DELAY_PER_EVENT = 4 * MILLISECOND // 10
MAX_DELAY = 500 * MILLISECOND


def batching_delay(instance: Instance) -> int:
    """Return how many nanoseconds an orchestrator's turn waits for further results.

    A turn replays the orchestrator from the start, at a cost that grows with the history: one
    turn for each of 1,000 results would occupy the worker completely.
    """
    length = len(instance.history)
    if length < LONG_HISTORY or not instance.inbox or not is_task_result(instance.inbox[-1]):
        return 0
    if not any(asked.HasField("taskScheduled") for asked in instance.pending_tasks.values()):
        return 0
    return min(length * DELAY_PER_EVENT, MAX_DELAY)
