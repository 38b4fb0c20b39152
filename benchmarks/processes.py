"""Starts fresh processes for one measurement and reads what they have used."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

PROJECT = Path(__file__).parent.parent
STARTUP_SECONDS = 30.0

# Whether this system can keep a process on one core.
CAN_PIN = hasattr(os, "sched_setaffinity")


@dataclass
class Used:
    """What a process has used: CPU seconds during the measurement, and its peak memory in MiB."""

    cpu_seconds: float = 0.0
    peak_mib: float = 0.0


class Process:
    """A process of the project whose output goes to a file."""

    def __init__(self, log: Path, *arguments: str, **variables: str) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=PROJECT,
                env={**os.environ, **variables},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.pid = self._process.pid
        self.used = Used()

    def wait_for(self, text: str) -> str:
        """Return the first line of the output that holds `text`."""
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline:
            for line in self._log.read_text(encoding="utf-8").splitlines():
                if text in line:
                    return line
            time.sleep(0.02)
        raise TimeoutError(f"no '{text}' from {self._process.args!r}")

    def cpu_seconds(self) -> float:
        """Return the CPU time that the process has used so far."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def keep_on(self, core: int) -> None:
        """Let all threads of the process run on one core only."""
        for thread in psutil.Process(self._process.pid).threads():
            os.sched_setaffinity(thread.id, {core})

    def stop(self) -> None:
        """End the process and note its peak memory."""
        self._process.terminate()
        _, _, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = 0
        # Linux counts in KiB, macOS in bytes.
        self.used.peak_mib = usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


@dataclass(frozen=True)
class System:
    """A running emulator and its workers."""

    endpoint: str
    emulator: Process
    workers: list[Process]

    def run_client(self, count: int, limit_seconds: float) -> float | None:
        """Return the wall time of a client with `count` items, None if it passes the limit."""
        before = {process: process.cpu_seconds() for process in (self.emulator, *self.workers)}
        start = time.monotonic()
        client = subprocess.run(
            [sys.executable, "client.py", str(count), "--timeout", str(limit_seconds)],
            cwd=PROJECT,
            env={**os.environ, "ENDPOINT": self.endpoint},
            capture_output=True,
            check=False,
        )
        wall = time.monotonic() - start
        for process, cpu_seconds in before.items():
            process.used.cpu_seconds = process.cpu_seconds() - cpu_seconds
        return wall if client.returncode == 0 else None


def emulator_process(folder: Path, *arguments: str) -> Process:
    """Start an emulator on free ports."""
    ports = ("--port", "0", "--dashboard-port", "0")
    return Process(folder / "emulator", "-m", "dts_emulator", *ports, *arguments)


@contextmanager
def system(
    kind: str,
    folder: Path,
    workers: int = 1,
    *,
    core_each: bool = False,
    emulator_arguments: Sequence[str] = (),
) -> Iterator[System]:
    """Run an emulator and workers of a kind (see bench_worker) for the length of a block.

    With `core_each`, every process is kept on a core of its own (Linux).
    """
    processes = [emulator_process(folder, *emulator_arguments)]
    try:
        endpoint = processes[0].wait_for(" gRPC ").split()[1]
        for number in range(workers):
            arguments = ("-m", "benchmarks.bench_worker", kind)
            processes.append(Process(folder / f"worker{number}", *arguments, ENDPOINT=endpoint))
        for worker in processes[1:]:
            worker.wait_for("Successfully connected")
        for core, process in enumerate(processes if core_each else []):
            process.keep_on(core)
        yield System(endpoint, processes[0], processes[1:])
    finally:
        for process in reversed(processes):
            process.stop()
