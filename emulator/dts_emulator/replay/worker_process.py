"""Runs the worker to check, as a process that ends with the check."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress

# A connection string would connect the worker to another scheduler.
_REMOVED = ("DURABLE_TASK_SCHEDULER_CONNECTION_STRING", "DURABLE_TASK_CONNECTION_STRING")
_CONNECTION_STRING = re.compile(
    r"(?=.*(^|;)\s*Endpoint\s*=\s*https?:)(?=.*(^|;)\s*Authentication\s*=)", re.IGNORECASE
)

# The time limit for a worker's end after SIGTERM.
STOP_SECONDS = 10.0

LAST_BYTES = 4000
LAST_LINES = 15


class WorkerProcess:
    """A command that runs for a block, with variables that point it to a scheduler.

    `{endpoint}` and `{taskhub}` in the command are replaced too.

    Raises:
        OSError: the command cannot be run.
    """

    def __init__(self, command: Sequence[str], endpoint: str, task_hub: str) -> None:
        values = {"{endpoint}": endpoint, "{taskhub}": task_hub}
        self._output = tempfile.TemporaryFile()  # noqa: SIM115, closed in __exit__
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in _REMOVED and not _CONNECTION_STRING.match(value)
        }
        environment |= {"ENDPOINT": endpoint, "TASKHUB": task_hub}
        # A replay must not appear among the traces of runs.
        environment["OTEL_SDK_DISABLED"] = "true"
        try:
            self._process = subprocess.Popen(
                [_replaced(argument, values) for argument in command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,
            )
        except BaseException:
            self._output.close()
            raise

    def problem(self) -> str | None:
        """Return how the worker ended, None while it runs."""
        status = self._process.poll()
        if status is None:
            return None
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return f"The worker has ended ({how})."

    def last_lines(self) -> str:
        """Return the end of the worker's output."""
        self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, self._output.tell() - LAST_BYTES))
        text = self._output.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-LAST_LINES:])

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Including its children.
            self._signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
            self._process.wait()
            self._output.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(OSError):
            if sys.platform == "win32":
                self._process.terminate()
            else:
                os.killpg(self._process.pid, number)


def _replaced(argument: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        argument = argument.replace(name, value)
    return argument
