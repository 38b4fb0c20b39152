"""Clients that wait for an orchestration instance; a waiting client needs no thread."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.model import Instance
from dts_emulator.hub.messages import instance_response

logger = logging.getLogger("emulator")

STOPPING = "The emulator is stopping."

# Threads start on demand. Each serves one connection at a time.
MAX_THREADS = 64

# An answer, or the reason for a failure.
Answer = pb.GetInstanceResponse | str


@dataclass(frozen=True)
class Waiter:
    """A waiting client: `reply` answers it once `is_enough` holds for the instance.

    `peer` is its connection.
    """

    is_enough: Callable[[Instance], bool]
    with_payloads: bool
    reply: Callable[[Answer], None]
    peer: str = ""


class Waiters:
    """The clients that wait for instances of one task hub. Called under the task hub's lock.

    Args:
        when_flushed: calls its argument once the current state is saved, with None, or with the
            reason for a failure.
    """

    def __init__(self, when_flushed: Callable[[Callable[[str | None], None]], None]) -> None:
        self._when_flushed = when_flushed
        self._numbers = itertools.count()
        self._waiting: dict[str, dict[int, Waiter]] = {}
        self._senders = Senders()

    def __len__(self) -> int:
        return sum(len(waiters) for waiters in self._waiting.values())

    def add(self, instance_id: str, waiter: Waiter) -> int:
        """Add a client that waits for an instance, which need not exist yet; return its number."""
        number = next(self._numbers)
        self._waiting.setdefault(instance_id, {})[number] = waiter
        return number

    def remove(self, instance_id: str, number: int) -> None:
        """Remove a client that has disconnected."""
        waiters = self._waiting.get(instance_id, {})
        waiters.pop(number, None)
        if not waiters:
            self._waiting.pop(instance_id, None)

    def notify(self, instance: Instance) -> None:
        """Answer the clients whose condition the instance meets."""
        waiters = self._waiting.get(instance.instance_id)
        if not waiters:
            return
        satisfied = [number for number, one in waiters.items() if one.is_enough(instance)]
        if satisfied:
            self.answer(instance, [waiters[number] for number in satisfied])
        for number in satisfied:
            self.remove(instance.instance_id, number)

    def answer(self, instance: Instance, waiters: Sequence[Waiter]) -> None:
        """Send clients the instance's state, once that is saved."""
        # Thousands may wait for the same instance: they share one message.
        answer = cache(partial(instance_response, instance))
        answers = [(waiter, answer(waiter.with_payloads)) for waiter in waiters]

        def send(problem: str | None) -> None:
            for waiter, response in answers:
                self.reply(waiter, response if problem is None else problem)

        self._when_flushed(send)

    def reply(self, waiter: Waiter, answer: Answer) -> None:
        """Queue an answer to a client."""
        self._senders.send(waiter.peer, partial(waiter.reply, answer))

    def close(self) -> None:
        """Answer all clients that the emulator stops."""
        waiting, self._waiting = self._waiting, {}
        for waiters in waiting.values():
            for waiter in waiters.values():
                self.reply(waiter, STOPPING)
        self._senders.close()


class Senders:
    """Sends answers in order for each connection, on one thread for each that has any.

    Sending blocks until the client reads. A frozen client occupies one thread, however many
    answers are pending, until its connection is found dead.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owed: dict[str, deque[Callable[[], None]]] = {}
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="replies")

    def send(self, peer: str, send: Callable[[], None]) -> None:
        """Call `send` after all earlier ones of the same peer."""
        with self._lock:
            owed = self._owed.get(peer)
            if owed is not None:
                owed.append(send)
                return
            self._owed[peer] = deque([send])
        try:
            self._threads.submit(self._serve, peer)
        except RuntimeError:  # It is closed: send the last answer on this thread.
            self._serve(peer)

    def close(self) -> None:
        """Accept no more answers; pending ones are still sent."""
        self._threads.shutdown(wait=False)

    def _serve(self, peer: str) -> None:
        while send := self._next(peer):
            try:
                send()
            except Exception:
                logger.exception("Failed to send a response")

    def _next(self, peer: str) -> Callable[[], None] | None:
        with self._lock:
            if self._owed[peer]:
                return self._owed[peer].popleft()
            del self._owed[peer]
            return None
