"""Import this first: Ctrl-C then ends a program quietly, also while its other imports run."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells count

_show_unraisable = sys.unraisablehook
_pressed = threading.Event()


def note(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt as Python does, and remember it: some imports let no error out."""
    _pressed.set()
    signal.default_int_handler(number, frame)


def end_if_pressed() -> None:
    """End the process with INTERRUPTED if Ctrl-C came during the imports, and was lost there."""
    if _pressed.is_set():
        os._exit(INTERRUPTED)


def end_quietly(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """End the process with INTERRUPTED where Ctrl-C was not caught; show any other error.

    An import in C may have made another error of it, e.g. an ImportError of Cython's.
    """
    if issubclass(kind, KeyboardInterrupt) or _pressed.is_set():
        os._exit(INTERRUPTED)
    sys.__excepthook__(kind, error, trace)


def end_where_it_would_be_lost(lost: UnraisableHookArgs) -> None:
    """End the process with INTERRUPTED where Ctrl-C met a callback, which nothing can leave.

    Python's own imports have such callbacks; it would print the error and go on.
    """
    if issubclass(lost.exc_type, KeyboardInterrupt):
        os._exit(INTERRUPTED)
    _show_unraisable(lost)


if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    with suppress(ValueError):  # Only the main thread may, and only it is interrupted.
        signal.signal(signal.SIGINT, note)
sys.excepthook = end_quietly
sys.unraisablehook = end_where_it_would_be_lost
