"""Clients that wait for an orchestration instance: any number, none at the cost of a thread."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from durabletask.internal import orchestrator_service_pb2 as pb

from emulator.engine.model import Instance

# Answers are sent on these threads: whoever has changed an instance does not wait for clients.
SENDERS = 4

Reply = Callable[[pb.GetInstanceResponse | None], None]


@dataclass(frozen=True)
class Waiter:
    """A client that is answered, by `reply`, once `is_enough`; None sends it away unanswered."""

    is_enough: Callable[[Instance], bool]
    answer: Callable[[Instance], pb.GetInstanceResponse]
    reply: Reply


class Waiters:
    """The clients that wait for instances of one task hub. Called under the task hub's lock."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._waiting: dict[str, dict[int, Waiter]] = {}
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="replies")

    def __len__(self) -> int:
        return sum(len(waiters) for waiters in self._waiting.values())

    def add(self, instance_id: str, waiter: Waiter) -> int:
        """Let a client wait for an instance, which need not exist yet; return the wait's number."""
        number = next(self._numbers)
        self._waiting.setdefault(instance_id, {})[number] = waiter
        return number

    def remove(self, instance_id: str, number: int) -> None:
        """Let a client wait no longer: it has gone away."""
        waiters = self._waiting.get(instance_id, {})
        waiters.pop(number, None)
        if not waiters:
            self._waiting.pop(instance_id, None)

    def notify(self, instance: Instance) -> None:
        """Answer those who have waited for what the instance is by now."""
        waiters = self._waiting.get(instance.instance_id)
        if not waiters:
            return
        for number, waiter in list(waiters.items()):
            if waiter.is_enough(instance):
                self.remove(instance.instance_id, number)
                self._senders.submit(waiter.reply, waiter.answer(instance))

    def close(self) -> None:
        """Send everybody away."""
        waiting, self._waiting = self._waiting, {}
        for waiters in waiting.values():
            for waiter in waiters.values():
                self._senders.submit(waiter.reply, None)
        self._senders.shutdown()
