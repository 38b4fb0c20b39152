"""How every program logs: one format, to stderr, every event on one line."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TextIO

FORMAT = "%(asctime)s.%(msecs)03d %(name)s %(levelname)s: %(message)s"

# How long a line may wait for others, with which it is then written.
GATHER_SECONDS = 0.05

# How many lines wait for a reader who takes none, and how long the end of the process does.
MAX_WAITING_LINES = 10_000
FLUSH_SECONDS = 0.5

# What the SDK's worker logs is logged here.
SDK_LOGGER = "durabletask"

# What would begin a new line, or move a terminal's cursor, in a message that quotes it.
_CONTROLS = {code: repr(chr(code))[1:-1] for code in (*range(32), 127, 0x85, 0x2028, 0x2029)}


class OneLine(logging.Formatter):
    """Keeps a message on one line, whatever it quotes. A traceback has its own lines.

    The traceback of another process comes as text, in the record's attribute `trace`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, and below it the traceback if there is one."""
        trace = getattr(record, "trace", "")
        return f"{super().format(record)}\n{trace}" if trace else super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the record's line; only what the program says of itself begins a line."""
        record.message = record.message.translate(_CONTROLS)
        return super().formatMessage(record)


class InBackground(logging.Handler):
    """Writes lines on a thread of its own, many at a time.

    A thousand threads that write each their own line wait for one another at every one. And a
    pipe that nobody reads stops this thread alone: lines beyond MAX_WAITING_LINES are dropped.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: deque[str | threading.Event] = deque()
        self._has_lines = threading.Event()
        self._dropped = 0
        threading.Thread(target=self._write_for_ever, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Leave the record to the thread; what cannot be formatted, logging reports itself."""
        try:
            line = self.format(record) + "\n"
        except Exception:
            self.handleError(record)
            return
        if len(self._waiting) >= MAX_WAITING_LINES:
            self._dropped += 1
            return
        self._waiting.append(line)
        if not self._has_lines.is_set():
            self._has_lines.set()

    def flush(self) -> None:
        """Return when all lines are written, or after FLUSH_SECONDS.

        logging.shutdown calls this when the process ends.
        """
        written = threading.Event()
        self._waiting.append(written)
        self._has_lines.set()
        written.wait(FLUSH_SECONDS)

    def _write_for_ever(self) -> None:
        while self._has_lines.wait():
            time.sleep(GATHER_SECONDS)
            self._has_lines.clear()
            self._write_all()

    def _write_all(self) -> None:
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        lines = [line for line in waiting if isinstance(line, str)]
        if self._dropped:
            lines.append(f"({self._dropped} lines are missing here: nobody read the log)\n")
            self._dropped = 0
        with suppress(OSError, ValueError):  # Nobody may be left to read the log.
            self._stream.write("".join(lines))
            self._stream.flush()
        for written in waiting:
            if isinstance(written, threading.Event):
                written.set()


def configure(
    name: str, *, in_background: bool = False, level: int = logging.INFO
) -> logging.Logger:
    """Send the log to stderr and return the logger `name`, at `level`."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if in_background:
        # Not sys.stderr itself: Python could not end while the thread stands in a write to it.
        own = open(sys.stderr.fileno(), "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
        handler = InBackground(own)
    handler.setFormatter(OneLine(FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    # What azure.identity logs at length, it raises as well, and that is shown in one line.
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    logger = logging.getLogger(name)
    logger.setLevel(level)
    return logger
