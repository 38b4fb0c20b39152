"""Options and fixtures that all tests share."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.client import OrchestrationState
from scheduler import Scheduler

import worker as sample
from dts_emulator import Emulator
from tests.processes import Program, running

Run = Callable[..., OrchestrationState]

# So many tests share an emulator's process: to start one takes a second.
HUBS_OF_AN_EMULATOR = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("scheduler")
    group.addoption("--endpoint", help="run the system tests against the scheduler at this URL")
    group.addoption("--taskhub", default="default", help="task hub of --endpoint")
    group.addoption(
        "--chaos-seconds", type=float, default=12, help="how long programs are killed at random"
    )


def pytest_configure() -> None:
    """Let the programs that tests start hear Ctrl-C.

    A shell without job control starts a command in the background with SIGINT ignored, and all
    that the command starts inherits this.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take long; with --endpoint, run what is for any scheduler alone."""
    for mark in ("browser", "slow"):
        long = {item.path for item in items if item.get_closest_marker(mark)}
        items.sort(key=lambda item: item.path not in long)
    items.sort(key=lambda item: item.path.parent.name != "system")
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


def task_hubs_of_emulators() -> Generator[dict[str, str]]:
    """Yield the variables that name a task hub nobody has used; an emulator has a few of them."""
    names = [f"hub-{number}" for number in range(HUBS_OF_AN_EMULATOR)]
    ports = ("--port", "0", "--dashboard-port", "0")
    while True:
        with running("-m", "dts_emulator", *ports, "--task-hubs", ",".join(names)) as program:
            program.wait_for_line("Task hubs")
            for name in names:
                yield {"ENDPOINT": endpoint_of(program), "TASKHUB": name}


@pytest.fixture(scope="session")
def fresh_task_hubs() -> Iterator[Iterator[dict[str, str]]]:
    """Give task hubs without end, for the tests that are each alone in theirs."""
    hubs = task_hubs_of_emulators()
    yield hubs
    hubs.close()


@pytest.fixture
def scheduler(request: pytest.FixtureRequest) -> dict[str, str]:
    """Give the variables that name a running scheduler: --endpoint, or a fresh task hub."""
    endpoint = request.config.getoption("--endpoint")
    if endpoint:
        return {"ENDPOINT": endpoint, "TASKHUB": request.config.getoption("--taskhub")}
    hubs: Iterator[dict[str, str]] = request.getfixturevalue("fresh_task_hubs")
    return next(hubs)


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


@pytest.fixture
def instant_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "MIN_WORK_SECONDS", 0.0)
    monkeypatch.setattr(sample, "MAX_WORK_SECONDS", 0.0)


@pytest.fixture
def skipping(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """Give a fresh emulator in this process that skips the time in which all wait.

    It runs each turn twice to check determinism, unless the fixture's parameter is False.
    """
    with Emulator(
        skip_time=True,
        check_determinism=getattr(request, "param", True),
        task_hubs=["default", "other"],
    ) as emulator:
        yield emulator


@pytest.fixture
def run(skipping: Emulator, instant_items: None, caplog: pytest.LogCaptureFixture) -> Run:
    """Give a function that runs the orchestrator to its end on a worker of its own.

    Nothing takes time: the delays between the attempts at an item are skipped.
    """
    caplog.set_level(logging.INFO, logger="worker")
    target = Scheduler(endpoint=skipping.endpoint)

    def run_to_its_end(
        work_items: Any, orchestrator: str = "fan_out_fan_in_orchestrator"
    ) -> OrchestrationState:
        with (
            DurableTaskSchedulerClient(**target.connection()) as client,
            sample.create_worker(target, concurrency=50) as started,
        ):
            started.start()
            instance_id = client.schedule_new_orchestration(orchestrator, input=work_items)
            state = client.wait_for_orchestration_completion(instance_id, timeout=60)
            assert state is not None
            return state

    return run_to_its_end


def endpoint_of(emulator: Program) -> str:
    """Return the endpoint that an emulator's ready banner names."""
    return next(line.split()[1] for line in emulator.stdout.splitlines() if " gRPC " in line)


def dashboard_of(emulator: Program) -> str:
    """Return the dashboard's address that an emulator's ready banner names."""
    return next(line.split()[1] for line in emulator.stdout.splitlines() if " Dashboard " in line)
