"""Sends answers to clients that have waited, so that nobody else has to wait for a slow one."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

logger = logging.getLogger("emulator")

# Threads are made when needed. Each serves one connection at a time.
MAX_THREADS = 64


class Senders:
    """Sends what there is for each connection in order, on a thread of its own while there is any.

    Sending takes until the other side has room. A client that is frozen or does not read holds
    one thread, however many answers it is owed, until its connection is found dead.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owed: dict[str, deque[Callable[[], None]]] = {}
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="replies")

    def send(self, peer: str, send: Callable[[], None]) -> None:
        """Call `send` soon, after all that was to be sent to the same peer before."""
        with self._lock:
            owed = self._owed.get(peer)
            if owed is not None:
                owed.append(send)
                return
            self._owed[peer] = deque([send])
        try:
            self._threads.submit(self._serve, peer)
        except RuntimeError:  # It is closed: all that is left to send is that.
            self._serve(peer)

    def close(self) -> None:
        """Take no more; what is owed is still sent."""
        self._threads.shutdown(wait=False)

    def _serve(self, peer: str) -> None:
        while send := self._next(peer):
            try:
                send()
            except Exception:
                logger.exception("An answer could not be sent")

    def _next(self, peer: str) -> Callable[[], None] | None:
        with self._lock:
            if self._owed[peer]:
                return self._owed[peer].popleft()
            del self._owed[peer]
            return None
