"""How long an orchestrator's turn waits for more results to take along."""

from __future__ import annotations

from emulator.task_hub.records import Record, is_task_result

# From how many history events on, and for how long, results wait for others.
LONG_HISTORY = 100
PAUSE_SECONDS_PER_EVENT = 0.0004
LONGEST_PAUSE_SECONDS = 0.5


def pause_before_turn(record: Record) -> float:
    """Return how many seconds an orchestrator's turn waits for more results to take along.

    A turn runs the orchestrator again from the start, at a cost that grows with the history. A
    turn for each of 1,000 results would keep the worker busy with nothing else.
    """
    length = len(record.instance.history)
    if length < LONG_HISTORY or not record.activities_out:
        return 0
    if not is_task_result(record.instance.pending_events[-1]):
        return 0
    return min(length * PAUSE_SECONDS_PER_EVENT, LONGEST_PAUSE_SECONDS)
