"""Workers' streams as the tests of leases use them, without a worker."""

from __future__ import annotations

from queue import Empty

from dts_emulator.hub.leases import Kind, WorkerStream, WorkItem

GRACE = 5.0


def new_stream(limit: int = 1000, *, names: set[str] | None = None) -> WorkerStream:
    """Return a stream that holds at most `limit` items of each kind, of `names` or of any."""
    return WorkerStream(
        limits=dict.fromkeys(Kind, limit),
        accepts=lambda _kind, name, _version: names is None or name in names,
    )


def receive(stream: WorkerStream) -> list[WorkItem]:
    """Return what the worker at the end of a stream would get now."""
    received: list[WorkItem] = []
    while True:
        try:
            item = stream.outbox.get_nowait()
        except Empty:
            return received
        if item is not None and item.holder is stream:
            received.append(item)
