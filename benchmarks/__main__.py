"""`make bench`: measures, prints the tables and writes them to benchmarks/results.md."""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.processes import CAN_PIN, PROJECT, System, system
from benchmarks.state import after_a_kill, memory_and_file

STOP_SECONDS = 120.0
RESULTS = PROJECT / "benchmarks" / "results.md"


class Bench:
    """One run of all measurements.

    Args:
        quick: measure once instead of three times, and leave the longest out.
        folder: where the processes log to.
    """

    def __init__(self, quick: bool, folder: Path) -> None:
        self._repeats = 1 if quick else 3
        self._quick = quick
        self._folder = folder

    def measurements(self) -> dict[str, Callable[[], list[str]]]:
        """Return what there is to measure, by the title of its table."""
        instant: dict[str, Callable[[], list[str]]] = {
            "Instant items, one worker": self.instant_items
        }
        if CAN_PIN and not self._quick:
            how = "worker and emulator on a core each (`taskset -c 0 python worker.py`)"
            instant[f"Instant items, {how}"] = partial(self.instant_items, core_each=True)
        return {
            "Quickstart items (0.5 to 2 s each), wall time of the client": self.quickstart_items,
            **instant,
            "Doubling the number of instant items": self.doubling,
            "Several workers": self.several_workers,
            "State in memory and in a file": self.state,
            **({} if self._quick else {"Start on a file": partial(after_a_kill, self._folder)}),
            "Start-up": self.start_up,
        }

    def quickstart_items(self) -> list[str]:
        """Compare this worker with the SDK's default concurrency and with the limit."""
        rows = []
        for count in (10, 1000) if self._quick else (10, 100, 1000):
            limit = self._median(partial(_timed, "-m", "benchmarks.limit", str(count)))
            one, two = (self._client("seeded", count, workers=n) for n in (1, 2))
            skip = self._quick and count > 10
            default = "not measured" if skip else _seconds(self._client("default", count))
            rows.append(
                f"| {count:,} | {_seconds(one)} | {_seconds(two)} | {default} | {_seconds(limit)} "
                f"| {_ratio(one, limit)} | {_ratio(two, limit)} |"
            )
        return [
            "| items | this worker | two of it | SDK's default concurrency | limit "
            "| this worker / limit | two / limit |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ]

    def instant_items(self, *, core_each: bool = False) -> list[str]:
        """Measure what an item costs when it does nothing."""
        rows = []
        base = 0.0
        counts: tuple[int, ...] = (1000, 10_000, 25_000, 50_000)
        if self._quick:
            counts = (1000, 5000)
        elif core_each:
            counts = (1000, 10_000)
        for count in counts:
            samples = [self._instant_sample(count, core_each) for _ in range(self._repeats)]
            wall, worker_cpu, emulator_cpu, worker_mib, emulator_mib = map(
                median, zip(*samples, strict=True)
            )
            base = base or wall
            rows.append(
                f"| {count:,} | {1000 / wall:,.0f} | {wall / base:.2f} | "
                f"{worker_cpu:.2f} s | {emulator_cpu:.2f} s | "
                f"{worker_mib:.0f} MiB | {emulator_mib:.0f} MiB |"
            )
        return [
            "| items | items per second | time per item, times that of 1,000 "
            "| worker CPU per 1,000 | emulator CPU per 1,000 | worker peak | emulator peak |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ]

    def _instant_sample(self, count: int, core_each: bool) -> tuple[float, ...]:
        """Return, for 1,000 items, wall and CPU seconds, and the processes' peaks in MiB."""
        with system("instant", self._folder, core_each=core_each) as running:
            running.run_client(1, STOP_SECONDS)  # Warms up: threads, imports.
            wall = running.run_client(count, 600) or float("nan")
            worker, emulator = running.workers[0], running.emulator
        thousands = count / 1000
        return (
            wall / thousands,
            worker.used.cpu_seconds / thousands,
            emulator.used.cpu_seconds / thousands,
            worker.used.peak_mib,
            emulator.used.peak_mib,
        )

    def doubling(self) -> list[str]:
        """Measure how time grows when the number of items doubles."""
        counts = (1000, 2000, 4000) if self._quick else (1000, 2000, 4000, 8000, 16_000)
        walls = [self._client("instant", count) or float("nan") for count in counts]
        return [
            "| items | wall time | times the row above |",
            "|---|---|---|",
            f"| {counts[0]:,} | {walls[0]:.2f} s | |",
            *(
                f"| {count:,} | {wall:.2f} s | {wall / before:.2f} |"
                for count, (before, wall) in zip(counts[1:], pairwise(walls), strict=True)
            ),
        ]

    def several_workers(self) -> list[str]:
        """Measure one, two and four workers on the same instant items."""
        count = 2000 if self._quick else 10_000
        walls = {n: self._client("instant", count, workers=n) for n in (1, 2, 4)}
        return [
            f"| workers | items per second ({count:,} instant items) | one worker's time / this |",
            "|---|---|---|",
            *(
                f"| {n} | {count / wall if wall else 0:,.0f} | {_ratio(walls[1], wall)} |"
                for n, wall in walls.items()
            ),
        ]

    def state(self) -> list[str]:
        """Compare the state in memory with that in a file."""
        return memory_and_file(2000 if self._quick else 10_000, self._repeats, self._folder)

    def start_up(self) -> list[str]:
        """Measure what a user waits for before anything happens."""
        with system("instant", self._folder) as running:
            first_line = self._median(lambda: _first_line(running))
        rows = {
            "`python client.py --help`": self._median(lambda: _timed("client.py", "--help")),
            "first log line of `client.py`": first_line,
            "first result of a warm `make run`": self._median(_make_run),
        }
        return [
            "| what | wall time |",
            "|---|---|",
            *(f"| {what} | {_seconds(seconds)} |" for what, seconds in rows.items()),
        ]

    def _median(self, measure: Callable[[], float]) -> float:
        return median(measure() for _ in range(self._repeats))

    def _client(self, kind: str, count: int, workers: int = 1) -> float | None:
        """Return the median wall time of a client, None if it is stopped."""
        walls = []
        for _ in range(self._repeats):
            with system(kind, self._folder, workers) as running:
                wall = running.run_client(count, STOP_SECONDS)
            if wall is None:
                return None
            walls.append(wall)
        return median(walls)


def _timed(*arguments: str) -> float:
    start = time.monotonic()
    subprocess.run([sys.executable, *arguments], cwd=PROJECT, check=True, capture_output=True)
    return time.monotonic() - start


def _first_line(running: System) -> float:
    start = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "client.py", "1"],
        cwd=PROJECT,
        env={**os.environ, "ENDPOINT": running.endpoint},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as client:
        assert client.stderr is not None
        client.stderr.readline()
        seconds = time.monotonic() - start
        client.stderr.read()
    return seconds


def _make_run() -> float:
    """Return when `make run` prints its result. It takes the default ports."""
    start = time.monotonic()
    with subprocess.Popen(
        ["make", "run"], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as make:
        assert make.stdout is not None
        seconds = float("nan")
        for line in make.stdout:
            if line.startswith("{"):
                seconds = time.monotonic() - start
    return seconds


def _seconds(seconds: float | None) -> str:
    return f"stopped at {STOP_SECONDS:g} s" if seconds is None else f"{seconds:.2f} s"


def _ratio(numerator: float | None, denominator: float | None) -> str:
    return "-" if numerator is None or not denominator else f"{numerator / denominator:.2f}"


def _machine() -> str:
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        cpu = found[1] if found else cpu
    return (
        f"{os.cpu_count()} cores, {cpu}, {platform.system()}, Python {platform.python_version()}, "
        f"durabletask {version('durabletask')}, grpcio {version('grpcio')}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run all measurements; print them and, unless quick, write them to results.md."""
    parser = argparse.ArgumentParser(description="Measure worker, emulator and client.")
    parser.add_argument("--quick", action="store_true", help="once each, under 90 seconds")
    quick: bool = parser.parse_args(argv).quick
    lines = [f"Measured on {date.today()}: {_machine()}.", ""]
    print(lines[0])
    with tempfile.TemporaryDirectory() as folder:
        for title, measure in Bench(quick, Path(folder)).measurements().items():
            table = [f"## {title}", "", *measure(), ""]
            print("\n".join(["", *table]), flush=True)
            lines += table
    if not quick:
        head = ["# Results", "", "Medians of three runs, fresh processes in each."]
        RESULTS.write_text("\n".join([*head, *lines]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
