"""Starts the project's programs as processes and waits for their output."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hosting.scheduler import CONNECTION_STRINGS, MANAGED_IDENTITY

PROJECT = Path(__file__).parent.parent

# Nothing listens on this port: `discard` needs root, and is out of use.
NO_SCHEDULER = "http://127.0.0.1:9"

# Arguments that let an emulator take any ports that are free.
FREE_PORTS = ("--port", "0", "--dashboard-port", "0")

# A limit for anything that should take a moment, on a busy machine.
PATIENCE_SECONDS = 60.0

needs_signals = pytest.mark.skipif(
    os.name == "nt", reason="Windows ends a process without asking it"
)

# Variables of the machine that would change what a test means.
_OURS = ("ENDPOINT", "TASKHUB", "DTS_TASK_HUB_NAMES", *CONNECTION_STRINGS, MANAGED_IDENTITY)


def wait_until(
    condition: Callable[[], object], description: str, seconds: float = PATIENCE_SECONDS
) -> None:
    """Return when `condition` holds; fail with `description` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"After {seconds:g} seconds still not: {description}")
        time.sleep(0.02)  # The interval of polling.


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without the project's variables, plus `variables`."""
    inherited = {key: value for key, value in os.environ.items() if key not in _OURS}
    return {**inherited, "PYTHONUNBUFFERED": "1", **variables}


@dataclass(frozen=True)
class Finished:
    """The exit status and output of a process that has ended."""

    status: int
    stdout: str
    stderr: str


class Program:
    """A running process of the project; `stdout` and `stderr` hold its output so far."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        executable: str = sys.executable,
        folder: str = str(PROJECT),
        **variables: str,
    ) -> None:
        self._process = subprocess.Popen(
            [executable, *arguments],
            cwd=folder,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.pid = self._process.pid
        self.stdout = ""
        self.stderr = ""
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True)
            for name in ("stdout", "stderr")
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        for line in getattr(self._process, name):
            setattr(self, name, getattr(self, name) + line)

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def wait_for_line(self, text: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Return when `text` is in the output; fail if the process ends or takes too long."""
        deadline = time.monotonic() + seconds
        while text not in self.stdout + self.stderr:
            if not self.is_running:
                self.finish()
                assert text in self.stdout + self.stderr, f"ended without '{text}': {self.stderr}"
            assert time.monotonic() < deadline, f"no '{text}' in {seconds:g} s: {self.stderr}"
            time.sleep(0.02)  # The interval of polling.

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self._process.send_signal(number)

    def finish(self, seconds: float = PATIENCE_SECONDS) -> Finished:
        """Wait for the end of the process."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {seconds:g} s: {self.stderr}") from None
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        return Finished(status, self.stdout, self.stderr)

    def stop(self) -> Finished:
        """Ask the process to end with SIGTERM and wait for it."""
        self.send(signal.SIGTERM)
        return self.finish()

    def kill(self) -> None:
        """End the process as a crash would."""
        self._process.kill()
        self.finish()


def copy_sample(folder: Path) -> None:
    """Copy the sample, without emulator and tests, into a folder."""
    for path in PROJECT.glob("*.py"):
        shutil.copy(path, folder)
    for name in ("hosting", "examples"):
        shutil.copytree(PROJECT / name, folder / name)


@contextmanager
def running(
    *arguments: str, executable: str = sys.executable, folder: str = str(PROJECT), **variables: str
) -> Iterator[Program]:
    """Run a program of the project for the length of a block."""
    program = Program(arguments, executable=executable, folder=folder, **variables)
    try:
        yield program
    finally:
        if program.is_running:
            program.kill()
        else:
            program.finish()


def run(
    *arguments: str, executable: str = sys.executable, folder: str = str(PROJECT), **variables: str
) -> Finished:
    """Run a program of the project to its end."""
    with running(*arguments, executable=executable, folder=folder, **variables) as program:
        return program.finish()


def lines_of_trouble(program: Program | Finished) -> list[str]:
    """Return the lines of a log that are no news: warnings, errors, usage, tracebacks."""
    return [line for line in program.stderr.splitlines() if " INFO: " not in line]


@contextmanager
def emulator_process(port: int = 0, *arguments: str) -> Iterator[tuple[Program, str]]:
    """Run an emulator as a process; give it with its endpoint once it is ready."""
    ports = ("--port", str(port), "--dashboard-port", "0")
    with running("-m", "dts_emulator", *ports, *arguments) as emulator:
        emulator.wait_for_line("Task hubs")
        yield (
            emulator,
            next(line.split()[1] for line in emulator.stdout.splitlines() if " gRPC " in line),
        )
