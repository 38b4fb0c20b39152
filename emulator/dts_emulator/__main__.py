"""The emulator's command line: `dts-emulator --help`."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any

from dts_emulator import __version__, process
from dts_emulator.engine.errors import InvalidError
from dts_emulator.engine.ids import check_task_hub
from dts_emulator.hub.limits import MAX_PAYLOAD_BYTES
from dts_emulator.hub.task_hubs import DYNAMIC_VARIABLE
from dts_emulator.replay import command as replay_command
from dts_emulator.server import Emulator, PortError
from dts_emulator.store.file import FileError

logger = logging.getLogger("emulator")

LOG_LEVELS = ("debug", "info", "warning", "error")


class Parser(argparse.ArgumentParser):
    """A parser that tolerates closed output streams, unlike Python 3.10's."""

    def _print_message(self, message: str, file: Any = None) -> None:
        with suppress(OSError):
            super()._print_message(message, file)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the emulator until SIGINT or SIGTERM, or the subcommand `replay`.

    Returns:
        0 after a signal; 1 if the last changes could not be written; 2 for an invalid argument,
        a port in use, or an unusable state file. For `replay`, see replay.command.
    """
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["replay"]:
        return replay_command.main(argv[1:])
    process.open_missing_streams()
    log: process.Log | None = None
    try:
        args = _parse(argv)
        log = process.Log()
        _configure_logging(log, args.log_level)
        return _run(args)
    finally:
        if log is not None:
            log.finish()
        process.flush_streams()


def _run(args: argparse.Namespace) -> int:
    _prefer_throughput()
    process.raise_file_limit()
    if not _is_loopback(args.host):
        logger.warning(
            "Listening on %s without authentication: "
            "anyone who can connect can read and change everything",
            args.host,
        )
    emulator = Emulator(
        host=args.host,
        port=args.port,
        dashboard_port=args.dashboard_port,
        task_hubs=args.task_hubs,
        lease_grace=args.lease_grace,
        max_payload_bytes=args.max_payload_bytes,
        dashboard_read_only=args.dashboard_read_only,
        db_file=args.db_file,
        dynamic_task_hubs=args.dynamic_task_hubs,
        check_determinism=args.check_determinism,
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        emulator.start()
    except (PortError, FileError) as error:
        logger.error("%s", error)
        return 2
    try:
        sys.stdout.write(_banner(emulator))
        sys.stdout.flush()
    except OSError as error:
        logger.warning("Ready at %s; cannot write to stdout: %s", emulator.endpoint, error)
    while not stop.wait(0.5):  # Windows handles no signal during a wait without an end.
        pass
    logger.info("Stopping")
    emulator.stop()
    return 0 if emulator.problem is None else 1


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m dts_emulator" if __name__ == "__main__" else "dts-emulator",
        description="A Docker-free stand-in for the Durable Task Scheduler emulator. "
        "Without --db-file its state is lost. 'dts-emulator replay' checks changed code.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=8080, help="gRPC port; 0 = any free one")
    parser.add_argument(
        "--dashboard-port", type=_port, default=8082, help="dashboard port; 0 = any free one"
    )
    _add_task_hubs(parser)
    parser.add_argument(
        "--db-file",
        metavar="PATH",
        help="SQLite file that keeps the state across restarts and crashes",
    )
    parser.add_argument(
        "--lease-grace",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="how long a disconnected worker may still complete its work items",
    )
    parser.add_argument(
        "--max-payload-bytes",
        type=_count,
        default=MAX_PAYLOAD_BYTES,
        metavar="BYTES",
        help="largest input, output, event or custom status; 0 = no limit",
    )
    parser.add_argument(
        "--dashboard-read-only", action="store_true", help="disable all actions on the dashboard"
    )
    _add_determinism(parser)
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info", help="what to log")
    parser.add_argument("--version", action="version", version=_versions())
    return parser.parse_args(argv)


def _add_task_hubs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task-hubs",
        type=_task_hubs,
        default=os.environ.get("DTS_TASK_HUB_NAMES") or "default",
        metavar="NAME,...",
        help="names of the task hubs; also set by DTS_TASK_HUB_NAMES",
    )
    parser.add_argument(
        "--dynamic-task-hubs",
        action=argparse.BooleanOptionalAction,
        default=_is_set(parser, DYNAMIC_VARIABLE),
        help=f"create a task hub when a call first names it; also set by {DYNAMIC_VARIABLE}=true",
    )


def _add_determinism(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check-determinism",
        action="store_true",
        help="run each turn of an orchestrator twice, and fail it if the answers differ",
    )


def _configure_logging(log: logging.Handler, level: str) -> None:
    logging.basicConfig(
        handlers=[log],
        format="%(asctime)s.%(msecs)03d %(name)s %(levelname)s: %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        level=level.upper(),
    )
    if level != "debug":
        # It warns of every invalid request.
        logging.getLogger("uvicorn").setLevel(logging.ERROR)


def _prefer_throughput() -> None:
    """Keep waking threads from preempting the running one (Linux)."""
    if sys.platform == "linux":
        with suppress(OSError):  # A sandbox may forbid it.
            if os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _banner(emulator: Emulator) -> str:
    kept = (
        f"in {emulator.db_file}" if emulator.db_file else "in memory, lost when the emulator stops"
    )
    more = ", and those that calls name" if emulator.is_dynamic else ""
    return (
        "Durable Task Scheduler emulator (stand-in) is ready\n"
        f"  gRPC       {emulator.endpoint}\n"
        f"  Dashboard  {emulator.dashboard_url}\n"
        f"  State      {kept}\n"
        f"  Task hubs  {', '.join(emulator.hubs)}{more}\n"
    )


def _versions() -> str:
    return f"{__version__} (durabletask {version('durabletask')})"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _port(text: str) -> int:
    port = int(text) if _is_number(text) else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!a} is not a port number (0 to 65535)")
    return port


def _task_hubs(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!a} contains an empty task hub name")
    try:
        for name in names:
            check_task_hub(name)
    except InvalidError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return list(dict.fromkeys(names))


def _is_set(parser: argparse.ArgumentParser, variable: str) -> bool:
    """Return a boolean variable, in the syntax of .NET, as the Docker emulator reads it."""
    value = os.environ.get(variable, "").strip().lower()
    if value not in ("", "true", "false"):
        parser.error(f"{variable} is {value!a}: set it to true or false")
    return value == "true"


def _is_number(text: str) -> bool:
    """Return whether a text has only the digits 0 to 9, and not too many."""
    return text.isascii() and text.isdecimal() and len(text) < 20


def _seconds(text: str) -> float:
    try:
        seconds = float(text) if text.isascii() and "_" not in text else -1
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!a} is not a number of seconds, 0 or more")
    return seconds


def _count(text: str) -> int:
    if not _is_number(text):
        raise argparse.ArgumentTypeError(f"{text!a} is not a whole number, 0 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
