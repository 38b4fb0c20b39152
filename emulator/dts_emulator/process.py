"""What the emulator's process expects of the terminal and the system around it: little."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from contextlib import suppress
from logging.handlers import QueueHandler

# Lines of the log that wait for a reader of stderr; later ones are dropped.
MAX_LINES = 10_000
FLUSH_SECONDS = 1.0

# Every connection is an open file. Some systems begin with 256.
OPEN_FILES = 65_536


def open_missing_streams() -> None:
    """Let whatever is written to a stream that the parent has closed go nowhere.

    Otherwise a socket would get the number, and with it what libraries write to stderr.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115


def flush_streams() -> None:
    """Write out what is left; where that cannot be, end without a complaint about it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def raise_file_limit() -> None:
    """Allow as many connections as the system lets this process have."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Log(QueueHandler):
    """Writes the log to stderr on a thread of its own: nobody waits for who reads it, or does not.

    A pipe that nobody reads takes 64 KiB; then every write to it would wait for ever.
    """

    def __init__(self) -> None:
        self._lines: queue.Queue[logging.LogRecord | None] = queue.Queue(MAX_LINES)
        super().__init__(self._lines)
        self._writer = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._writer.start()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the method's own name
        """Drop a line for which there is no room."""

    def finish(self) -> None:
        """Wait until all is written, a moment at most."""
        with suppress(queue.Full):
            self._lines.put(None, timeout=FLUSH_SECONDS)
            self._writer.join(FLUSH_SECONDS)

    def _write_all(self) -> None:
        while record := self._lines.get():
            line = f"{record.getMessage()}\n".encode(errors="backslashreplace")
            # Not by way of sys.stderr, whose lock could not be had at the end.
            with suppress(OSError):
                while line:
                    line = line[os.write(2, line) :]
