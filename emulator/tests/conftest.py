"""Options and fixtures that the emulator's tests share."""

from __future__ import annotations

import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from durabletask.client import TaskHubGrpcClient
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from dts_emulator.hub.task_hub import TaskHub
from tests.programs import functions_of, program_of
from tests.wire import Wire, wire_to

REST = Path(__file__).parent / "rest"
IN_REST = "browsers, accessibility, other SDKs, packages, README, terminals, chaos, fuzz, long runs"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("scheduler")
    group.addoption("--endpoint", help="run the system tests against the scheduler at this URL")
    group.addoption("--taskhub", default="default", help="task hub of --endpoint")
    group.addoption(
        "--chaos-seconds", type=float, default=12, help="how long programs are killed at random"
    )


def pytest_configure() -> None:
    """Let the programs that tests start receive Ctrl-C.

    A shell without job control starts a background command with SIGINT ignored, and every child
    inherits this.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the second tier out, unless its folder is named or a scheduler is."""
    is_asked_for = config.getoption("--endpoint") or any(map(_is_in_rest, config.args))
    return True if collection_path == REST and not is_asked_for else None


def _is_in_rest(argument: str) -> bool:
    path = Path(argument.partition("::")[0]).resolve()
    return REST in (path, *path.parents)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take long; with --endpoint, run only the system tests."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    if not config.getoption("--endpoint"):
        return
    chosen = [item for item in items if item.get_closest_marker("system")]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say in one line what a tier has not run, and how to run it."""
    if config.getoption("--endpoint"):
        return
    parts = []
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        parts.append(f"Not run: {IN_REST}. To run them: pytest tests/rest.")
    elif [Path(argument).resolve() for argument in config.args] == [REST]:
        parts.append("Not run: the tests beside tests/rest. To run them: pytest.")
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    parts += [
        f"{count} {reason[0].lower()}{reason[1:]}." for reason, count in sorted(reasons.items())
    ]
    if parts:
        terminalreporter.write_line(" ".join(parts))


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Give a fresh emulator in this process, on a free port."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def hub(emulator: Emulator) -> TaskHub:
    """Give the default task hub of a fresh emulator."""
    return emulator.hubs["default"]


@pytest.fixture
def skipping() -> Iterator[Emulator]:
    """Give a fresh emulator in this process that skips the time in which everything waits."""
    with Emulator(skip_time=True, task_hubs=["default", "other"]) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def client(request: pytest.FixtureRequest) -> Iterator[TaskHubGrpcClient]:
    """Give a client of an emulator whose worker knows the orchestrators of the test's module."""
    functions = functions_of(request.module.__name__)
    with Emulator() as emulator, program_of(emulator, *functions) as client:
        yield client


@pytest.fixture(scope="module")
def fresh_task_hubs() -> Iterator[Iterator[dict[str, str]]]:
    """Give the task hubs of one emulator, for tests that each need their own."""
    names = [f"hub-{number}" for number in range(50)]
    with Emulator(task_hubs=names) as emulator:
        yield ({"ENDPOINT": emulator.endpoint, "TASKHUB": name} for name in names)


@pytest.fixture
def scheduler(request: pytest.FixtureRequest) -> dict[str, str]:
    """Give the variables that name a running scheduler: --endpoint, or a fresh task hub."""
    endpoint = request.config.getoption("--endpoint")
    if endpoint:
        return {"ENDPOINT": endpoint, "TASKHUB": request.config.getoption("--taskhub")}
    hubs: Iterator[dict[str, str]] = request.getfixturevalue("fresh_task_hubs")
    return next(hubs)


@pytest.fixture
def wire(emulator: Emulator) -> Iterator[Wire]:
    """Give a connection to a fresh emulator, for calls as a program of any language makes them."""
    with wire_to(emulator) as wire:
        yield wire


@pytest.fixture
def items(wire: Wire) -> Iterator[Iterator[pb.WorkItem]]:
    """Give what a worker on this connection is sent."""
    with wire.working() as items:
        yield items


@pytest.fixture
def free_port() -> int:
    """Give the number of a port that was free a moment ago, for a program that starts later."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a state file that is not there yet."""
    return tmp_path / "dev.db"
