"""How worker and client log: one format, to stderr, every event on one line."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, TextIO

import grpc

FORMAT = "%(asctime)s.%(msecs)03d %(name)s %(levelname)s: %(message)s"

# How long a line may wait for others, with which it is then written.
GATHER_SECONDS = 0.05

# An RPC error as the SDK logs it: a dump of several lines around the words that matter.
_RPC_ERROR = re.compile(
    r"<_\w+ of RPC that terminated with:\s*status = StatusCode\.(\w+)\s*"
    r'details = "(.*?)"\s*debug_error_string = .*?\n?>',
    re.DOTALL,
)


class OneLine(logging.Formatter):
    """Shortens an RPC error to its status and details, without a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record; several lines only for a traceback of any other error."""
        return _RPC_ERROR.sub(r"\1: \2", super().format(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return the traceback of an error, nothing for an RPC error."""
        return "" if isinstance(ei[1], grpc.RpcError) else super().formatException(ei)


def is_news(record: logging.LogRecord) -> bool:
    """Return False for the SDK's warning of a stream that the worker has closed itself."""
    return "Locally cancelled by application" not in str(record.msg)


class InBackground(logging.Handler):
    """Writes lines on a thread of its own, many at a time.

    A thousand threads that write each their own line wait for one another at every one.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: deque[str] = deque()
        self._has_lines = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._write_for_ever, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Leave the record to the thread; what cannot be formatted, logging reports itself."""
        try:
            self._lines.append(self.format(record) + "\n")
        except Exception:
            self.handleError(record)
        if not self._has_lines.is_set():
            self._has_lines.set()

    def flush(self) -> None:
        """Write all there is; logging.shutdown calls this when the process ends."""
        with self._writing, suppress(OSError, ValueError):  # Nobody may be left to read the log.
            self._stream.write("".join(self._lines.popleft() for _ in range(len(self._lines))))
            self._stream.flush()

    def _write_for_ever(self) -> None:
        while self._has_lines.wait():
            time.sleep(GATHER_SECONDS)
            self._has_lines.clear()
            self.flush()


def configure(name: str, *, in_background: bool = False) -> logging.Logger:
    """Send the log to stderr and return the logger `name`, at level INFO."""
    handler = InBackground(sys.stderr) if in_background else logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
    handler.addFilter(is_news)
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    # What azure.identity logs at length, it raises as well, and that is shown in one line.
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    logger = logging.getLogger(name)
    # Set on the logger itself: the SDK asks for `logger.level` before it formats debug records.
    logger.setLevel(logging.INFO)
    return logger
