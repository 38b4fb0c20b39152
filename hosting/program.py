"""What every program does first: its streams, its log, its traces, how it shares a processor."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress

from hosting import interrupts, logs, streams

# The standard's variables for the address of a collector of traces.
TRACES_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def start(name: str, *, many_threads: bool = False, level: int = logging.INFO) -> logging.Logger:
    """Prepare the process and return the logger of the program `name`.

    Args:
        name: what the program's own lines in the log begin with.
        many_threads: whether this is a worker, whose threads should not wait for one another.
        level: the least of the program's own lines that are shown.
    """
    interrupts.end_if_pressed()
    streams.protect()
    if many_threads:
        prefer_throughput()
    logger = logs.configure(name, in_background=many_threads, level=level)
    if any(os.environ.get(variable) for variable in TRACES_ENDPOINTS):
        export_traces(name, logger)
    return logger


def export_traces(name: str, logger: logging.Logger) -> None:
    """Export the spans of this process, if what that needs is installed."""
    try:
        from hosting import telemetry
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("opentelemetry"):
            raise
        logger.warning(
            "No traces are exported: install what they need, "
            "pip install --require-hashes -r requirements-otel.lock"
        )
    else:
        telemetry.export_traces(name, logger)


def prefer_throughput() -> None:
    """Ask Linux for its scheduling policy SCHED_BATCH: no thread that wakes interrupts another.

    A worker is a thousand threads that wake one another. Each would otherwise take the core from
    the one that woke it, and with it the interpreter's lock in vain. It saves a tenth of the time.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # A sandbox may forbid it; then it is as elsewhere.
            if os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
