"""Keeps a state file to one process: a file beside it, locked by the system until that ends."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Beyond the text, so that others can read it.
        os.lseek(descriptor, 1024, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class InUseError(Exception):
    """Another process has the file; `pid` is its number, None if it does not say."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"in use by the process {pid}")
        self.pid = pid


class Exclusive:
    """Has a file for itself until it is released, or the process ends in any way.

    Raises:
        InUseError: another one has it.
        OSError: the file beside it cannot be made.
    """

    def __init__(self, file: Path) -> None:
        self._path = file.with_name(f"{file.name}-lock")
        while True:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                self._take()
            except BaseException:
                os.close(self._descriptor)
                raise
            if self._is_still_there():
                break
            os.close(self._descriptor)  # Released, and removed, by another one meanwhile.
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def _take(self) -> None:
        try:
            _lock(self._descriptor)
        except OSError:
            text = self._path.read_text(encoding="utf-8", errors="replace").strip()
            raise InUseError(int(text) if text.isdecimal() else None) from None

    def _is_still_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Leave the file to others."""
        # Removed before it is let go, so that nobody takes one that is about to go.
        with suppress(OSError):  # Windows removes no open file; it is taken over as it is.
            self._path.unlink()
        os.close(self._descriptor)
