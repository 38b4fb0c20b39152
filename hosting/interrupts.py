"""Import this first: Ctrl-C then ends a program quietly, also while its other imports run."""

from __future__ import annotations

import os
import sys
from types import TracebackType

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells count


def end_quietly(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """End the process with INTERRUPTED where Ctrl-C was not caught; show any other error."""
    if issubclass(kind, KeyboardInterrupt):
        os._exit(INTERRUPTED)
    sys.__excepthook__(kind, error, trace)


sys.excepthook = end_quietly
