"""Standard streams that are closed, full or read by nobody do a program no harm."""

from __future__ import annotations

import atexit
import io
import os
import sys


def protect() -> None:
    """Open what is closed, so that no connection gets its number; end without complaints.

    A shell closes a stream with `2>&-`. The next file or connection would get its number, and
    what a library writes to stderr would go there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # Takes the lowest number that is free: this one.
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  As long as the process lives.
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A result may hold what its encoding lacks, and each line is written when it is printed.
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    atexit.register(_let_go)


def _let_go() -> None:
    """Drop what a stream does not take; Python would end with status 120 for it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
