"""Standard streams, log and open files of the emulator's process."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from contextlib import suppress
from logging.handlers import QueueHandler

# The number of unread log lines that are kept; later ones are dropped.
MAX_LINES = 10_000
FLUSH_SECONDS = 1.0

# Every connection is an open file, and some systems allow 256.
OPEN_FILES = 65_536


def open_missing_streams() -> None:
    """Open /dev/null in place of standard streams that the parent has closed.

    Otherwise a socket would get the descriptor, and receive what libraries write to stderr.
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
    """Flush the standard streams; ignore errors, which Python would report at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def raise_file_limit() -> None:
    """Raise the limit of open files as far as the system allows."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Log(QueueHandler):
    """Writes the log to stderr on a thread of its own.

    A pipe without a reader holds 64 KiB; after that every write would block forever.
    """

    def __init__(self) -> None:
        self._lines: queue.Queue[logging.LogRecord | None] = queue.Queue(MAX_LINES)
        super().__init__(self._lines)
        self._writer = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._writer.start()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the method's own name
        """Drop a line that does not fit."""

    def finish(self) -> None:
        """Wait briefly until all lines are written."""
        with suppress(queue.Full):
            self._lines.put(None, timeout=FLUSH_SECONDS)
            self._writer.join(FLUSH_SECONDS)

    def _write_all(self) -> None:
        while record := self._lines.get():
            line = f"{record.getMessage()}\n".encode(errors="backslashreplace")
            # Not through sys.stderr, whose lock may be unavailable at exit.
            with suppress(OSError):
                while line:
                    line = line[os.write(2, line) :]
