"""What the SDK's worker logs about its connection: in words, and not again and again."""

from __future__ import annotations

import logging
import sys
import threading
import time

import grpc

from hosting.errors import SCHEDULER_ERRORS, details_of, explain
from hosting.logs import SDK_LOGGER
from scheduler import Scheduler

# The same complaint comes again after this time at first, and then after twice as long each time.
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0

# The SDK says that it is connected before it is: only a refusal that does not come tells.
PROOF_SECONDS = 1.0

# How the SDK's lines begin; tests/hosting/test_sdk_log.py compares them with its source.
RETRYING = "Connection failed, retrying in "
CONNECTED = ("Created fresh connection to ", "Successfully connected to ")


class SdkLog(logging.Filter):
    """Puts our words in the place of an error, and drops what was said a moment ago."""

    def __init__(self, target: Scheduler) -> None:
        super().__init__()
        self._target = target
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}  # when a complaint may come again
        self._pauses: dict[str, float] = {}
        self._last_was_shown = True
        self._held: list[logging.LogRecord] = []
        self._proof: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is news; change it in place."""
        error = sys.exc_info()[1]  # The SDK writes each error into the message while it handles it.
        message = record.getMessage()
        if message.startswith(RETRYING):
            return self._last_was_shown
        if isinstance(error, SCHEDULER_ERRORS):
            words = explain(error, self._target)
            record.msg, record.args = message.replace(str(error), words), None
            record.exc_info = None
            # The details differ between the addresses of one host.
            kind = words.replace(details_of(error), "")
            return record.levelno >= logging.ERROR or self._is_news(error, kind)
        if message.startswith(CONNECTED) and self._due:
            self._hold(record)
            return False
        if self._held:
            self._believe()  # Work has come.
        return True

    def _is_news(self, error: BaseException, kind: str) -> bool:
        """Return whether a complaint has not been made for its pause."""
        if isinstance(error, grpc.RpcError) and "Locally cancelled by application" in str(error):
            return False  # The worker has closed the stream itself.
        with self._lock:
            self._forget_held()
            now = time.monotonic()
            self._last_was_shown = now >= self._due.get(kind, 0)
            if self._last_was_shown:
                pause = self._pauses.get(kind, FIRST_PAUSE_SECONDS)
                self._due[kind] = now + pause
                self._pauses[kind] = min(2 * pause, LONGEST_PAUSE_SECONDS)
            return self._last_was_shown

    def _hold(self, record: logging.LogRecord) -> None:
        """Keep back that there is a connection until no refusal has come for PROOF_SECONDS."""
        with self._lock:
            self._held.append(record)
            if self._proof is None:
                self._proof = threading.Timer(PROOF_SECONDS, self._believe)
                self._proof.daemon = True
                self._proof.start()

    def _forget_held(self) -> None:
        self._held = []
        if self._proof is not None:
            self._proof.cancel()
            self._proof = None

    def _believe(self) -> None:
        with self._lock:
            held = self._held
            self._forget_held()
            self._due.clear()
            self._pauses.clear()
        for record in held:
            logging.getLogger(SDK_LOGGER).callHandlers(record)


def sdk_logger(target: Scheduler) -> logging.Logger:
    """Return the logger to give to the SDK's worker."""
    logger = logging.getLogger(SDK_LOGGER)
    # Set on the logger itself: the SDK asks for `logger.level` before it formats debug records.
    logger.setLevel(logging.INFO)
    logger.filters = [SdkLog(target)]
    return logger
