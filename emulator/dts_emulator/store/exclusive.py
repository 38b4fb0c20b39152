"""Keeps a state file to one process, under whatever name that process opened it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    # Locked bytes cannot be read by others on Windows: this one lies far beyond SQLite's.
    _LOCK_BYTE = 2**40

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCK_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        # SQLite locks byte ranges with fcntl(); flock() is independent of these, and is not
        # released when SQLite closes one of its own descriptors of the file.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class InUseError(Exception):
    """Another process holds the lock."""


class Exclusive:
    """Locks a file, which is created if it is missing, until release() or the process's end.

    The lock is on the file itself, so that symbolic and hard links to it count too.

    Raises:
        InUseError: another process has locked the file.
        OSError: the file cannot be opened or created.
    """

    def __init__(self, path: Path) -> None:
        while True:
            # Nobody else may read inputs and outputs; SQLite gives its other files the same mode.
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _lock(self._descriptor)
            except OSError:
                os.close(self._descriptor)
                raise InUseError from None
            if _leads_to(path, self._descriptor):
                return
            os.close(self._descriptor)  # The file was replaced in the meantime.

    def release(self) -> None:
        """Let other processes lock the file."""
        os.close(self._descriptor)


def _leads_to(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
