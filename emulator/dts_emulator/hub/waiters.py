"""Clients that wait for an orchestration instance: any number, none at the cost of a thread."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.model import Instance
from dts_emulator.hub.messages import instance_response
from dts_emulator.hub.senders import Senders

STOPPING = "The emulator is stopping."

# An answer, or the reason why there is none.
Answer = pb.GetInstanceResponse | str


@dataclass(frozen=True)
class Waiter:
    """A client that is answered, by `reply`, once `is_enough`.

    `peer` is the connection that it has come by.
    """

    is_enough: Callable[[Instance], bool]
    with_payloads: bool
    reply: Callable[[Answer], None]
    peer: str = ""


class Waiters:
    """The clients that wait for instances of one task hub. Called under the task hub's lock.

    Args:
        when_flushed: calls what it is given once the present state is kept, with None, or with the
            reason why it cannot be.
    """

    def __init__(self, when_flushed: Callable[[Callable[[str | None], None]], None]) -> None:
        self._when_kept = when_flushed
        self._numbers = itertools.count()
        self._waiting: dict[str, dict[int, Waiter]] = {}
        self._senders = Senders()

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
        satisfied = [number for number, one in waiters.items() if one.is_enough(instance)]
        if satisfied:
            self.answer(instance, [waiters[number] for number in satisfied])
        for number in satisfied:
            self.remove(instance.instance_id, number)

    def answer(self, instance: Instance, waiters: Sequence[Waiter]) -> None:
        """Tell clients what an instance is by now, as soon as that is kept."""
        # Thousands may wait for the same: they share one message.
        answer = cache(partial(instance_response, instance))
        answers = [(waiter, answer(waiter.with_payloads)) for waiter in waiters]

        def send(problem: str | None) -> None:
            for waiter, response in answers:
                self.reply(waiter, response if problem is None else problem)

        self._when_kept(send)

    def reply(self, waiter: Waiter, answer: Answer) -> None:
        """Send a client its answer, without waiting until it is sent."""
        self._senders.send(waiter.peer, partial(waiter.reply, answer))

    def close(self) -> None:
        """Send everybody away."""
        waiting, self._waiting = self._waiting, {}
        for waiters in waiting.values():
            for waiter in waiters.values():
                self.reply(waiter, STOPPING)
        self._senders.close()
