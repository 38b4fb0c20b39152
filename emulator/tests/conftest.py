"""Options and fixtures that the emulator's tests share."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dts_emulator import Emulator
from tests.caller import Caller
from tests.wire import wire_to


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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take long; with --endpoint, run only the system tests."""
    for mark in ("browser", "slow"):
        long = {item.path for item in items if item.get_closest_marker(mark)}
        items.sort(key=lambda item: item.path not in long)
    if not config.getoption("--endpoint"):
        return
    chosen = [item for item in items if item.get_closest_marker("system")]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Give a fresh emulator in this process, on a free port."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def skipping() -> Iterator[Emulator]:
    """Give a fresh emulator in this process that skips the time in which everything waits."""
    with Emulator(skip_time=True, task_hubs=["default", "other"]) as emulator:
        yield emulator


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
def caller(emulator: Emulator) -> Iterator[Caller]:
    """Give a caller of RPCs, connected to a fresh emulator."""
    with wire_to(emulator) as wire:
        yield Caller(wire)


@pytest.fixture
def free_port() -> int:
    """Give the number of a port that was free a moment ago, for a program that starts later."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a state file that is not there yet."""
    return tmp_path / "dev.db"
