"""The client's progress bar: counts finished work items while it waits on a terminal."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
from durabletask import history
from durabletask.client import TaskHubGrpcClient

POLL_SECONDS = 0.5


@contextmanager
def progress_bar(client: TaskHubGrpcClient, instance_id: str) -> Iterator[None]:
    """Show how many items of the instance have finished, as long as the block runs.

    Shows nothing where stderr is not a terminal.
    """
    if not sys.stderr.isatty():
        yield
        return
    # Imported here because only terminals need it.
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    stop = threading.Event()
    with logging_redirect_tqdm(), tqdm(unit=" items", leave=False) as bar:

        def follow() -> None:
            while not stop.wait(POLL_SECONDS):
                try:
                    events = client.get_orchestration_history(instance_id)
                except grpc.RpcError:
                    continue  # The wait itself says what is wrong.
                bar.n, bar.total = count_items(events)
                bar.refresh()

        thread = threading.Thread(target=follow, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=5)


def count_items(events: Sequence[history.HistoryEvent]) -> tuple[int, int | None]:
    """Return how many work items have finished and how many there are (None: not known).

    A large run's history holds sub-orchestrations; each tells its `total_items` when it ends.
    """
    total: int | None = None
    items: set[int] = set()
    finished = 0
    for event in events:
        if isinstance(event, history.ExecutionStartedEvent):
            total = _length(json.loads(event.input)) if event.input else None
        elif isinstance(event, history.TaskScheduledEvent) and event.name == "process_work_item":
            items.add(event.event_id)
        elif isinstance(event, history.TaskCompletedEvent):
            finished += event.task_scheduled_id in items
        elif isinstance(event, history.SubOrchestrationInstanceCompletedEvent):
            finished += json.loads(event.result or "{}").get("total_items", 0)
    return finished, total


def _length(work_items: Any) -> int | None:
    if isinstance(work_items, list):
        return len(work_items)
    if isinstance(work_items, dict) and "first" in work_items and "last" in work_items:
        return int(work_items["last"]) - int(work_items["first"]) + 1
    return None
