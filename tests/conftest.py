"""Options and fixtures that all tests share."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from emulator import Emulator
from tests.processes import Program, running


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("scheduler")
    group.addoption("--endpoint", help="run the system tests against the scheduler at this URL")
    group.addoption("--taskhub", default="default", help="task hub of --endpoint")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --endpoint, run what is meant for any scheduler and nothing else."""
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
def scheduler(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Give the variables that name a running scheduler: --endpoint, or an emulator process."""
    endpoint = request.config.getoption("--endpoint")
    if endpoint:
        yield {"ENDPOINT": endpoint, "TASKHUB": request.config.getoption("--taskhub")}
        return
    with running("-m", "emulator", "--port", "0", "--dashboard-port", "0") as program:
        program.wait_for_line("Task hubs")
        yield {"ENDPOINT": endpoint_of(program), "TASKHUB": "default"}


@pytest.fixture
def worker(scheduler: dict[str, str]) -> Iterator[Program]:
    """Give a running worker of the scheduler."""
    with running("worker.py", **scheduler) as program:
        program.wait_for_line("Successfully connected")
        yield program


@pytest.fixture
def free_port() -> int:
    """Give the number of a port that was free a moment ago, for a program that starts later."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def endpoint_of(emulator: Program) -> str:
    """Return the endpoint that an emulator's ready banner names."""
    return next(line.split()[1] for line in emulator.stdout.splitlines() if " gRPC " in line)
