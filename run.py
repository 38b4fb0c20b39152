"""Runs emulator, workers and client together: for `make run` and `make up`, or without make.

What is started first is stopped last, so that a worker can hand in what it has finished.
"""

from __future__ import annotations

import hosting.interrupts  # noqa: F401  First: Ctrl-C then ends the other imports quietly.

import argparse
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from hosting import streams
from hosting.arguments import Parser

PROJECT = Path(__file__).resolve().parent

# The worker gives itself 8 seconds for what it has in progress, the emulator 5 for its end.
STOP_SECONDS = 10.0

# Longer than any run: the time limit is kept here, where the emulator ends as well. The client
# would say that the orchestration goes on.
CLIENT_SECONDS = "999999"

# Name a scheduler that is not meant here.
OTHER_SCHEDULERS = ("DURABLE_TASK_SCHEDULER_CONNECTION_STRING", "DURABLE_TASK_CONNECTION_STRING")

logger = logging.getLogger("run")


class RunError(Exception):
    """Ends everything with a message and an exit status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def main(argv: Sequence[str] | None = None) -> int:
    """Run the client once, or with `--up` keep emulator and workers running until Ctrl-C.

    Returns:
        The client's exit status; 3 when the run takes too long; 1 when emulator or workers have
        ended, and the emulator's status when it cannot start; 2 for a wrong argument or an stdout
        that takes no result; 130 after Ctrl-C (0 with `--up`).
    """
    streams.protect()
    args = parse_arguments(argv)
    logging.basicConfig(
        format="%(asctime)s.%(msecs)03d %(name)s %(levelname)s: %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        level=logging.INFO,
    )
    for name in {"SIGTERM", "SIGHUP"} & set(dir(signal)):  # Windows has no SIGHUP.
        signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        with Sample(args.workers, args.emulator_arguments) as sample:
            if args.up:
                keep_running(sample)
            status, result = run_client(sample, args.number_of_items, args.timeout)
    except KeyboardInterrupt:
        return 0 if args.up else 130
    except RunError as failure:
        logger.error(failure)
        return failure.status
    return status if written(result) else 2


def written(result: str) -> bool:
    """Write to stdout, unbuffered; return False where it takes nothing."""
    try:
        os.write(sys.stdout.fileno(), result.encode())
    except BrokenPipeError:  # Who was to read it has gone, and wants no more of it.
        return True
    except OSError as error:
        logger.error(f"The result cannot be written to stdout: {error.strerror}")
        return False
    return True


class Sample:
    """An emulator, and workers that use it, for the length of a `with` block."""

    def __init__(self, worker_count: int, emulator_arguments: Sequence[str]) -> None:
        self._worker_count = worker_count
        self._workers: list[subprocess.Popen[str]] = []
        self._emulator = start("-m", "dts_emulator", *emulator_arguments, stdout=subprocess.PIPE)
        self.endpoint = ""

    def __enter__(self) -> Sample:
        try:
            self.endpoint = self._wait_for_endpoint()
            self.start_workers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        if kind is KeyboardInterrupt:
            logger.info("Stopping; Ctrl-C again ends everything at once")
        try:
            stop(self._workers)
        finally:
            stop([self._emulator])

    def _wait_for_endpoint(self) -> str:
        """Return what the emulator's ready banner says."""
        assert self._emulator.stdout is not None
        for line in self._emulator.stdout:
            sys.stderr.write(line)
            if line.split()[:1] == ["gRPC"]:
                forward(self._emulator.stdout)
                return line.split()[1]
        raise RunError(self._emulator.wait(), "The emulator has not started, so nothing has.")

    def start_workers(self) -> None:
        """Start the workers, none of which is running."""
        self._workers = [
            start("worker.py", ENDPOINT=self.endpoint) for _ in range(self._worker_count)
        ]

    def restart_workers(self) -> None:
        """Let the workers finish what they hold, and start as many."""
        stop(self._workers)
        self.start_workers()

    def check(self) -> None:
        """Do nothing while the emulator runs.

        Raises:
            RunError: it has ended.
        """
        status = self._emulator.poll()
        if status is not None:
            raise RunError(1, f"The emulator has ended (status {status})")

    def has_workers(self) -> bool:
        """Return whether any worker is running."""
        return any(worker.poll() is None for worker in self._workers)


def run_client(sample: Sample, number_of_items: int, limit: float) -> tuple[int, str]:
    """Return the client's exit status and what it has written to stdout.

    Raises:
        RunError: it took longer than `limit` seconds, or what it needs has ended.
    """
    deadline = time.monotonic() + limit
    command = ("client.py", str(number_of_items), "--timeout", CLIENT_SECONDS)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as result:
        client = start(*command, stdout=result, stderr=subprocess.PIPE, ENDPOINT=sample.endpoint)
        said = forward(client.stderr)
        try:
            while client.poll() is None:
                sample.check()
                if not sample.has_workers():
                    raise RunError(1, "No worker is left")
                if time.monotonic() > deadline:
                    raise RunError(
                        3,
                        f"Not completed after {limit:g} s, and ended with the emulator. Give it "
                        f"more time: make run N={number_of_items} TIMEOUT={4 * limit:g}",
                    )
                time.sleep(0.05)
        finally:
            client.kill()
            client.wait()
            said.join()
        result.seek(0)
        return client.returncode, result.read()


def keep_running(sample: Sample) -> None:
    """Start the workers again whenever a Python file changes that they may import; never return.

    Raises:
        RunError: the emulator has ended.
    """
    # Imported here because only `--up` needs it.
    from watchfiles import PythonFilter, watch

    changed_in = PythonFilter(
        ignore_paths=[PROJECT / name for name in ("emulator", "tests", "benchmarks", "run.py")]
    )
    logger.info("Workers start again when a .py file changes; Ctrl-C stops everything")
    complete = True
    for changes in watch(PROJECT, watch_filter=changed_in, rust_timeout=500, yield_on_timeout=True):
        sample.check()
        if changes:
            files = sorted({os.path.relpath(path, PROJECT) for _, path in changes})
            logger.info(f"Changed: {', '.join(files)}")
            sample.restart_workers()
            complete = True
        elif complete and not sample.has_workers():
            logger.warning("No worker is left; they start again when a .py file changes")
            complete = False


def start(
    *arguments: str, stdout: Any = sys.stderr, stderr: Any = None, **variables: str
) -> subprocess.Popen[str]:
    """Start a Python program of this folder, out of the reach of the terminal's Ctrl-C."""
    environ = {name: os.environ[name] for name in os.environ if name not in OTHER_SCHEDULERS}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env={**environ, "PYTHONUNBUFFERED": "1", **variables},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def stop(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Ask processes to end; kill those that have not after STOP_SECONDS, or a second Ctrl-C."""
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        process.terminate()
    try:
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        for process in processes:
            process.kill()
            process.wait()


def forward(lines: IO[str] | None) -> threading.Thread:
    """Write lines to stderr as they come, on a thread that ends with them."""
    thread = threading.Thread(target=sys.stderr.writelines, args=(lines,), daemon=True)
    thread.start()
    return thread


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; a wrong argument ends the process with status 2."""
    parser = Parser(
        description="Run the sample: emulator, worker and client, then stop them.",
        epilog="What follows -- goes to the emulator, e.g. -- --port 0 --dashboard-port 0",
    )
    parser.add_argument(
        "number_of_items", nargs="?", type=int, default=10, help="how many work items (default 10)"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="how long the run may take (default: a minute, and one more per 6,000 items)",
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="how many workers (default 1)"
    )
    parser.add_argument(
        "--up",
        action="store_true",
        help="run no client; keep emulator and workers running, and start the workers again "
        "when a .py file changes",
    )
    words = list(sys.argv[1:] if argv is None else argv)
    end = words.index("--") if "--" in words else len(words)
    args = parser.parse_args(words[:end])
    args.emulator_arguments = words[end + 1 :]
    if args.timeout is None:
        args.timeout = 60 + args.number_of_items / 100
    if args.timeout <= 0 or not 1 <= args.workers <= 100:
        parser.error("--timeout takes more than 0 seconds, --workers a number from 1 to 100")
    return args


if __name__ == "__main__":
    sys.exit(main())
