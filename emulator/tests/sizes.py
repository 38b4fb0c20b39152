"""How much a task hub keeps in memory, counted without knowing what its parts are called."""

from __future__ import annotations

from dts_emulator.hub.task_hub import TaskHub


def sizes(hub: TaskHub, *parts: object) -> dict[str, int]:
    """Return the size of every collection of a hub and its parts, all if none is named.

    What grows with the connected workers is left out. A part counts by its own collections, and
    only if it is named.
    """
    every = (hub.store, hub.leases, hub.timers, hub.waiters)
    return {
        f"{type(keeper).__name__}.{name}": len(value)
        for keeper in (hub, *(parts or every))
        for name, value in vars(keeper).items()
        if hasattr(value, "__len__") and not isinstance(value, str) and name != "_streams"
        if not any(value is part for part in every)
    }
