"""Runs emulator, workers and client together: `make run` and `make up`, or without make."""

import argparse
import logging
import os
import signal
import subprocess
import sys
import time
from typing import Any

from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.client import OrchestrationQuery, OrchestrationStatus

from dts_emulator import Emulator, FileError, PortError
from hosting.logs import configure_logging
from hosting.scheduler import CONNECTION_STRINGS, Scheduler

PROJECT = os.path.dirname(os.path.abspath(__file__))
# Linux kills a child with this process, also after kill -9: PR_SET_PDEATHSIG is 1, SIGKILL 9.
SHIM = """import ctypes, runpy, sys; ctypes.CDLL(None).prctl(1, 9); del sys.argv[0]
runpy.run_path(sys.argv[0], run_name='__main__')"""
PYTHON = [sys.executable, "-c", SHIM] if sys.platform == "linux" else [sys.executable]
logger = logging.getLogger("run")


def main() -> int:
    """Run the client once and return its status, or with --up keep all running until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Run emulator, worker and client, then stop them.")
    add = parser.add_argument
    add("number_of_items", nargs="?", type=int, default=10, help="default 10")
    add("--timeout", type=float, help="seconds (default: 60, and 60 for each 6,000 items)")
    add("--workers", type=int, default=1, metavar="N", help="default 1")
    add("--up", action="store_true", help="run no client; keep the rest running and reload it")
    add("--port", type=int, default=8080, help="of the emulator (default 8080); 0 = any")
    add("--dashboard-port", type=int, default=8082, help="with --up (default 8082); 0 = any")
    add("--db-file", metavar="PATH", help="keep the emulator's state in this file")
    args = parser.parse_args()
    if args.workers < 1 or (args.timeout is not None and args.timeout <= 0):
        parser.error("--workers and --timeout must be more than 0")
    configure_logging("run")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    dashboard, run = (args.dashboard_port, keep_running) if args.up else (None, run_client)
    try:
        with Emulator(port=args.port, dashboard_port=dashboard, db_file=args.db_file) as emulator:
            workers = start_workers(emulator.endpoint, args.workers)
            try:
                return run(emulator, workers, args)
            finally:
                stop(workers)
    except KeyboardInterrupt:
        return 0 if args.up else 130
    except (PortError, FileError) as error:
        logger.error(error)
        return 2


def run_client(emulator: Emulator, workers: list[Any], args: argparse.Namespace) -> int:
    """Run the client, whose result goes to stdout, and return the exit status."""
    # The limit is kept here: the client would say that the orchestration continues.
    client = start(emulator.endpoint, "client.py", str(args.number_of_items), "--timeout=999999")
    deadline = time.monotonic() + (limit := args.timeout or 60 + args.number_of_items / 100)
    try:
        while client.poll() is None and time.monotonic() < deadline:
            if all(worker.poll() is not None for worker in workers):
                logger.error("No worker is left")
                return 1
            time.sleep(0.05)  # No portable call waits for several processes.
    finally:
        client.kill()
    if client.returncode is None:
        more = f"Allow more time: make run N={args.number_of_items} TIMEOUT={4 * limit:g}"
        logger.error(f"Not completed after {limit:g} s. {more}")
        return 3
    logger.info("To see runs in the dashboard, keep emulator and worker running: make up")
    return int(client.returncode)


def keep_running(emulator: Emulator, workers: list[Any], args: argparse.Namespace) -> int:
    """Restart the workers whenever a Python file changes that they may import."""
    from watchfiles import PythonFilter, watch  # Only --up needs it.

    logger.info(f"Ready: ENDPOINT={emulator.endpoint}, dashboard {emulator.dashboard_url}")
    others = [os.path.join(PROJECT, name) for name in ("emulator", "tests", "benchmarks", "run.py")]
    in_flight = OrchestrationQuery(runtime_status=[OrchestrationStatus.RUNNING])
    client = DurableTaskSchedulerClient(**Scheduler(emulator.endpoint).connection())
    for changes in watch(PROJECT, watch_filter=PythonFilter(ignore_paths=others)):
        files = sorted({os.path.relpath(path, PROJECT) for _, path in changes})
        logger.info(f"Changed: {', '.join(files)}")
        stop(workers)
        if runs := len(client.get_all_orchestration_states(in_flight)):
            logger.warning(f"{runs} runs in flight must fit the new code: docs/orchestrators.md")
        workers[:] = start_workers(emulator.endpoint, args.workers)
    return 0


def start_workers(endpoint: str, number: int) -> list[Any]:
    """Start workers; the lines of their logs have their number."""
    return [start(endpoint, "worker.py", number=str(index + 1)) for index in range(number)]


def start(endpoint: str, *command: str, number: str = "") -> Any:
    """Start a Python program of this folder, out of reach of the terminal's Ctrl-C."""
    environ = {name: value for name, value in os.environ.items() if name not in CONNECTION_STRINGS}
    environ |= {"ENDPOINT": endpoint, "TASKHUB": "default", "WORKER_NUMBER": number}
    stdout = sys.stderr if number else None  # Only the result goes to stdout.
    options: Any = {"cwd": PROJECT, "env": environ, "stdout": stdout, "start_new_session": True}
    return subprocess.Popen([*PYTHON, *command], **options)


def stop(workers: list[Any]) -> None:
    """Let workers finish within the 8 s that they allow themselves."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.wait()


if __name__ == "__main__":
    sys.exit(main())
