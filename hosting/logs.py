"""One log format for every program: to stderr, one line for each event."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import sys
import time
from logging.handlers import QueueHandler, QueueListener

import grpc

from hosting.errors import SCHEDULER_ERRORS, code_of, explain
from hosting.scheduler import Scheduler

FORMAT = "%(asctime)s.%(msecs)03d %(name)s{number} %(levelname)s: %(message)s"
REPEAT_SECONDS = 30.0  # The SDK's worker repeats its complaints for each attempt and result.

# How lines of the SDK begin; a test compares them with its source.
RETRYING = "Connection failed, retrying in "
CONNECTED = ("Created fresh connection to ", "Successfully connected to ")

# Characters that would begin a new line or move a terminal's cursor: messages quote data.
ESCAPES = {code: repr(chr(code))[1:-1] for code in (*range(32), 127, 0x85, 0x2028, 0x2029)}

_listeners: list[QueueListener] = []


class OneLine(logging.Formatter):
    """Keeps each message on one line and indents tracebacks, whatever data they quote."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line of a record."""
        record.message = record.message.translate(ESCAPES)
        trace = getattr(record, "trace", "")  # The traceback of another process, as text.
        return super().formatMessage(record) + (f"\n{indented(trace)}" if trace else "")

    def formatException(self, ei: object) -> str:  # noqa: N802
        """Return a traceback whose lines cannot be mistaken for lines of the log."""
        return indented(super().formatException(ei))  # type: ignore[arg-type]


def indented(trace: str) -> str:
    """Return the lines of a traceback, indented, with control characters as escapes."""
    return "\n".join(f"    {line.translate(ESCAPES)}" for line in trace.rstrip("\n").split("\n"))


def configure_logging(name: str, level: str = "info", *, in_background: bool = False) -> None:
    """Send the log to stderr: the program's and the SDK's lines from `level` on.

    With `in_background`, another thread writes, so that those of a worker do not wait for one
    another at each line. The variable WORKER_NUMBER tells the lines of several workers apart.
    """
    number = os.environ.get("WORKER_NUMBER")
    line_format = FORMAT.format(number=f"[{number}]" if number else "")
    handler: logging.Handler = logging.StreamHandler()
    if in_background:
        lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        _listeners.append(QueueListener(lines, handler))
        _listeners[-1].start()
        atexit.register(finish_logging)
        handler = QueueHandler(lines)  # It formats each record before it queues it.
    handler.setFormatter(OneLine(line_format, datefmt="%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("azure").setLevel(logging.CRITICAL)  # It raises what it logs.
    for logger in (name, "durabletask"):
        logging.getLogger(logger).setLevel(level.upper())


def finish_logging() -> None:
    """Write the lines that are still queued."""
    while _listeners:
        _listeners.pop().stop()


class SdkLog(logging.Filter):
    """Explains the connection errors that the SDK's worker logs, and counts repetitions."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._logged: dict[str, float] = {}
        self._omitted = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record, which is changed in place."""
        error = sys.exc_info()[1]  # The SDK logs an error while it handles it.
        kind = message = record.getMessage()
        if isinstance(error, SCHEDULER_ERRORS):
            if isinstance(error, grpc.RpcError) and "Locally cancelled" in str(error):
                return False  # The worker itself has closed its stream.
            kind = str(code_of(error))
            message = message.replace(str(error), explain(error, self._scheduler))
        elif not message.startswith(CONNECTED):
            return not message.startswith(RETRYING)
        now = time.monotonic()
        if now - self._logged.get(kind, -REPEAT_SECONDS) < REPEAT_SECONDS:
            self._omitted += 1
            return False
        if kind != message:
            self._logged.clear()  # After an outage, log that there is a connection again.
        self._logged[kind] = now
        record.msg = message + (f" ({self._omitted} similar omitted)" if self._omitted else "")
        record.args = record.exc_info = None
        self._omitted = 0
        return True
