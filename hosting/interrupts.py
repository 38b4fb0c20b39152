"""Import this first: Ctrl-C then ends a program quietly, also while its other imports run."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells count

_show_unraisable = sys.unraisablehook


def end_quietly(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """End the process with INTERRUPTED where Ctrl-C was not caught; show any other error."""
    if issubclass(kind, KeyboardInterrupt):
        os._exit(INTERRUPTED)
    sys.__excepthook__(kind, error, trace)


def end_where_it_would_be_lost(lost: UnraisableHookArgs) -> None:
    """End the process with INTERRUPTED where Ctrl-C met a callback, which nothing can leave.

    Python's own imports have such callbacks; it would print the error and go on.
    """
    if issubclass(lost.exc_type, KeyboardInterrupt):
        os._exit(INTERRUPTED)
    _show_unraisable(lost)


sys.excepthook = end_quietly
sys.unraisablehook = end_where_it_would_be_lost
