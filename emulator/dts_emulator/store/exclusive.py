"""Keeps a state file to one process, under whatever name it is opened: a lock on the file itself.

The lock lies on bytes that neither SQLite's own locks nor any data ever use: the rest of the page
at 1 GiB, of which SQLite locks the first 512 bytes (https://www.sqlite.org/fileformat2.html,
"The Lock-Byte Page"). The lock tells the number of the process that holds it.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

_FIRST_BYTE = 0x4000_0000 + 1024

if sys.platform == "win32":
    import msvcrt

    # Windows does not say who holds a lock: after the first byte, one for each bit of the number.
    _BITS = range(32)

    def _lock(descriptor: int) -> None:
        _lock_byte(descriptor, 0)
        for bit in _BITS:
            if os.getpid() >> bit & 1:
                _lock_byte(descriptor, 1 + bit)

    def _holder(descriptor: int) -> int:
        return sum(1 << bit for bit in _BITS if not _is_free(descriptor, 1 + bit))

    def _is_free(descriptor: int, offset: int) -> bool:
        try:
            _lock_byte(descriptor, offset)
        except OSError:
            return False
        os.lseek(descriptor, _FIRST_BYTE + offset, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        return True

    def _lock_byte(descriptor: int, offset: int) -> None:
        os.lseek(descriptor, _FIRST_BYTE + offset, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl
    import struct

    # Open file description locks. Neither of the others will do: fcntl's are gone once SQLite
    # closes any descriptor of the file, and on macOS flock's get in the way of SQLite's.
    if sys.platform == "darwin":
        _SET, _GET = 90, 92  # F_OFD_SETLK and F_OFD_GETLK in sys/fcntl.h.
        _LAYOUT = "qqihh"  # l_start, l_len, l_pid, l_type, l_whence
    else:
        _SET, _GET = fcntl.F_OFD_SETLK, fcntl.F_OFD_GETLK
        _LAYOUT = "hhqqi0q"  # l_type, l_whence, l_start, l_len, l_pid

    def _call(descriptor: int, command: int, length: int) -> int:
        """Ask for the lock on so many bytes; return the length of the one that is in the way."""
        if sys.platform == "darwin":
            asked = struct.pack(_LAYOUT, _FIRST_BYTE, length, 0, fcntl.F_WRLCK, os.SEEK_SET)
            return int(struct.unpack(_LAYOUT, fcntl.fcntl(descriptor, command, asked))[1])
        asked = struct.pack(_LAYOUT, fcntl.F_WRLCK, os.SEEK_SET, _FIRST_BYTE, length, 0)
        return int(struct.unpack(_LAYOUT, fcntl.fcntl(descriptor, command, asked))[3])

    # As many bytes as the process's number says, of which the first alone would do.
    def _lock(descriptor: int) -> None:
        _call(descriptor, _SET, os.getpid())

    def _holder(descriptor: int) -> int:
        return _call(descriptor, _GET, 1)


class InUseError(Exception):
    """The process `pid` has the file."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"in use by the process {pid}")
        self.pid = pid


# The files that this process has, by device and inode. To open and close one of them again would
# take SQLite's own locks away (https://www.sqlite.org/howtocorrupt.html, 2.2).
_held: set[tuple[int, int]] = set()
_mutex = Lock()


class FileLock:
    """Has a file for itself until it is released, or the process ends in any way.

    A file that is not there yet is made, for its owner alone to read.

    Raises:
        InUseError: another one has it.
        OSError: the file can be neither opened nor made, or its file system has no locks.
    """

    def __init__(self, file: Path) -> None:
        with _mutex:
            with suppress(FileNotFoundError):
                if _identity(os.stat(file)) in _held:
                    raise InUseError(os.getpid())
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                self._take()
            except BaseException:
                os.close(self._descriptor)
                raise
            self._identity = _identity(os.fstat(self._descriptor))
            _held.add(self._identity)

    def _take(self) -> None:
        try:
            _lock(self._descriptor)
        except (BlockingIOError, PermissionError):
            raise InUseError(_holder(self._descriptor)) from None

    def release(self) -> None:
        """Leave the file to others. SQLite must have closed it."""
        with _mutex:
            _held.discard(self._identity)
            os.close(self._descriptor)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
