"""The command `dts-emulator replay`: checks a worker's code against recorded histories."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.errors import InvalidError
from dts_emulator.engine.history_json import read_history
from dts_emulator.engine.ids import check_task_hub
from dts_emulator.engine.model import ENDED
from dts_emulator.engine.reruns import RUNNING_STATUSES
from dts_emulator.replay.replayer import ReplayResult, replay
from dts_emulator.replay.server import NoAnswerError, ReplayServer, WorkerRefusedError
from dts_emulator.replay.worker_process import WorkerProcess
from dts_emulator.store.file import FileError
from dts_emulator.store.snapshot import histories_in

FITS, DIFFERS, USAGE_ERROR, NOT_REPLAYED, INTERRUPTED = 0, 1, 2, 3, 130

STATUSES: dict[str, frozenset[int]] = {
    "running": RUNNING_STATUSES,
    "ended": ENDED,
    "all": RUNNING_STATUSES | ENDED,
}

# The histories of a source: names and events.
Histories = Iterator[tuple[str, list[pb.HistoryEvent]]]


def main(argv: Sequence[str]) -> int:
    """Replay histories on the worker that a command starts.

    Returns:
        0: the code matches all histories; 1: at least one differs; 2: invalid arguments or an
        unreadable file; 3: no worker connected, or it did not answer or refused; 130: Ctrl-C.
    """
    args = _parse(argv)
    report = _Report(as_json=args.json)
    # The worker must end with this process.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        histories = chain([*map(_read, args.files)], _stored(args))
        first = next(histories, None)
        if first is not None:
            _replay_all(chain([first], histories), args, report)
        report.finish(_nothing_found(args))
    except (FileError, OSError, ValueError) as error:
        sys.stderr.write(f"dts-emulator replay: {error}\n")
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    return report.status


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dts-emulator replay",
        usage="%(prog)s [FILE ...] [--db-file FILE] [options] -- COMMAND ...",
        description="Check whether a worker's code still fits recorded histories. COMMAND starts "
        "the worker; ENDPOINT and TASKHUB point it to a private scheduler, and {endpoint} and "
        "{taskhub} in COMMAND are replaced. Only orchestrator code runs.",
    )
    _add_arguments(parser)
    ours, separator, command = _split(argv)
    args = parser.parse_args(ours)
    if not command:
        missing = "COMMAND is missing" if separator else "'-- COMMAND' is missing"
        parser.error(f"{missing}: end with the command that starts your worker")
    if not args.files and not args.db_file:
        parser.error("no history: name files, or a state file with --db-file")
    args.command = command
    return args


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="a history: downloaded from the dashboard, or exported",
    )
    parser.add_argument(
        "--db-file", metavar="FILE", help="an emulator's state file, which is only read"
    )
    parser.add_argument(
        "--status",
        choices=STATUSES,
        default="running",
        help="which instances of --db-file (default: running)",
    )
    parser.add_argument(
        "--task-hub",
        type=_task_hub,
        default="default",
        metavar="NAME",
        help="the task hub in --db-file (default: default)",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long the worker may take to connect, and for each turn (default: 60)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _split(argv: Sequence[str]) -> tuple[Sequence[str], bool, Sequence[str]]:
    if "--" not in argv:
        return argv, False, []
    at = list(argv).index("--")
    return argv[:at], True, argv[at + 1 :]


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!a} is not a number of seconds above 0")
    return seconds


def _task_hub(text: str) -> str:
    try:
        return check_task_hub(text)
    except InvalidError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _read(name: str) -> tuple[str, list[pb.HistoryEvent]]:
    try:
        events = read_history(Path(name).read_bytes())
    except OSError as error:
        raise FileError(f"'{name}' cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise FileError(f"'{name}' cannot be read. {error}") from None
    if not any(event.HasField("executionStarted") for event in events):
        raise FileError(f"'{name}' has no ExecutionStarted event.")
    return name, events


def _stored(args: argparse.Namespace) -> Histories:
    if args.db_file:
        yield from histories_in(args.db_file, args.task_hub, STATUSES[args.status])


def _nothing_found(args: argparse.Namespace) -> str:
    kind = "" if args.status == "all" else f"{args.status} "
    return (
        f"{args.db_file} has no {kind}instances with a history in the task hub '{args.task_hub}'."
    )


def _replay_all(histories: Histories, args: argparse.Namespace, report: _Report) -> None:
    """Replay histories, one after the other, until a worker stops answering."""
    server = ReplayServer()
    try:
        with WorkerProcess(args.command, server.endpoint, args.task_hub) as worker:
            server.problem = worker.problem
            for name, events in histories:
                try:
                    report.add(replay(server, events, name, args.timeout))
                except WorkerRefusedError as error:
                    report.refuse(name, str(error))
                except NoAnswerError as error:
                    left = sum(1 for _ in histories)
                    report.give_up(name, str(error), worker.last_lines(), left)
                    return
    except FileNotFoundError as error:
        raise FileError(
            f"The command '{args.command[0]}' cannot be run: {error.strerror}."
        ) from None
    finally:
        server.close()


class _Report:
    """The output of the command, and its exit status."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._results: list[dict[str, object]] = []
        self._counts = {"ok": 0, "differs": 0, "not replayed": 0}

    @property
    def status(self) -> int:
        """The exit status: a difference takes precedence over a history that was not replayed."""
        if self._counts["differs"]:
            return DIFFERS
        return NOT_REPLAYED if self._counts["not replayed"] else FITS

    def add(self, result: ReplayResult) -> None:
        """Report the result of one history."""
        self._counts["ok" if result.ok else "differs"] += 1
        differences = [asdict(one) for one in result.differences]
        self._note(str(result), name=result.name, ok=result.ok, differences=differences)

    def refuse(self, name: str, reason: str) -> None:
        """Report that the worker does not run a history's orchestrator."""
        self._counts["not replayed"] += 1
        self._note(f"refused {name}: {reason}", name=name, ok=False, error=reason)

    def give_up(self, name: str, reason: str, log: str, left: int) -> None:
        """Report that the worker does not answer, with its last output and what is left."""
        self._counts["not replayed"] += 1 + left
        self._note(f"failed {name}: {reason}", name=name, ok=False, error=reason)
        if log:
            sys.stderr.write(f"The worker's last lines:\n{log}\n")
        if left:
            sys.stderr.write("The histories after this one were not replayed.\n")

    def finish(self, nothing: str) -> None:
        """Print the summary, or the JSON document."""
        if self._as_json:
            document = {"counts": self._counts, "histories": self._results}
            sys.stdout.write(f"{json.dumps(document, indent=2)}\n")
            return
        total = sum(self._counts.values())
        counts = ", ".join(f"{count} {what}" for what, count in self._counts.items() if count)
        if self._counts["differs"] > 1:
            counts = counts.replace("differs", "differ")
        histories = "history" if total == 1 else "histories"
        sys.stdout.write(f"{total} {histories}: {counts}\n" if total else f"{nothing}\n")

    def _note(self, line: str, **values: object) -> None:
        self._results.append(values)
        if not self._as_json:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
