"""Runs programs as a person at a terminal does."""

from __future__ import annotations

import os
import struct
import subprocess
import sys

import pytest

from tests.processes import PROJECT, environment, wait_until

needs_terminal = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no pseudo-terminals for a test"
)


def run_on_terminal(*arguments: str, **variables: str) -> tuple[str, str]:
    """Return what a program writes to stdout, and what its terminal (stderr) shows."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    program = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""

    def finished_reading() -> bool:
        nonlocal shown
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # How Linux says that the other end is closed.
            return True
        shown += chunk
        return not chunk

    wait_until(finished_reading, "the program's terminal is closed")
    os.close(ours)
    stdout, _ = program.communicate()
    return stdout.decode(), shown.decode()
