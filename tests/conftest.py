"""Options and fixtures that all tests share."""

from __future__ import annotations

import logging
import signal
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.processes import Program, running
from tests.sample import Sample, sample_worker

if TYPE_CHECKING:  # The tests of the sample also run where emulator/ was deleted.
    from dts_emulator import Emulator

NewTaskHub = Callable[..., dict[str, str]]

NOT_RUN = {
    "fast": "browser, Azure, tracing, packaging, README's commands and long ones: make test-rest",
    "rest": "the tests that a change needs: make test",
    "endpoint": "tests that need the emulator of this repository: make test-all",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("scheduler")
    group.addoption("--endpoint", help="run the system tests against the scheduler at this URL")
    group.addoption("--taskhub", default="default", help="task hub of --endpoint")
    group.addoption(
        "--chaos-seconds", type=float, default=12, help="how long programs are killed at random"
    )


def pytest_configure() -> None:
    """Let the programs that tests start receive Ctrl-C.

    A shell without job control starts a command in the background with SIGINT ignored, and all
    that the command starts inherits this.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take long; with --endpoint, run only tests for any scheduler."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
    if not config.getoption("--endpoint"):
        return
    chosen = [item for item in items if item.get_closest_marker("system")]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """End with what this tier does not run, and how to run it."""
    is_rest = any("rest" in argument for argument in config.args)
    tier = "endpoint" if config.getoption("--endpoint") else "rest" if is_rest else "fast"
    terminalreporter.write_line(f"Not run: {NOT_RUN[tier]}")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Give a fresh emulator in this process, on a free port, without a dashboard."""
    pytest.importorskip("dts_emulator", reason="there is no emulator/")
    from dts_emulator import Emulator

    with Emulator(check_determinism=True) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def new_task_hub(request: pytest.FixtureRequest) -> Iterator[NewTaskHub]:
    """Give a function that returns the variables of a scheduler: --endpoint, or a new task hub.

    Its argument says whether the emulator runs each turn of an orchestrator twice, to check that
    it is deterministic: then each line of an orchestrator's log comes twice.
    """
    with ExitStack() as stack:
        started: dict[bool, Emulator] = {}

        def new(check_determinism: bool = True) -> dict[str, str]:
            if endpoint := request.config.getoption("--endpoint"):
                return {"ENDPOINT": endpoint, "TASKHUB": request.config.getoption("--taskhub")}
            if check_determinism not in started:
                pytest.importorskip("dts_emulator", reason="there is no emulator/")
                from dts_emulator import Emulator

                started[check_determinism] = stack.enter_context(
                    Emulator(
                        dashboard_port=0,
                        dynamic_task_hubs=True,
                        check_determinism=check_determinism,
                    )
                )
            endpoint = started[check_determinism].endpoint
            return {"ENDPOINT": endpoint, "TASKHUB": f"hub-{uuid.uuid4().hex[:8]}"}

        yield new


@pytest.fixture
def scheduler(new_task_hub: NewTaskHub) -> dict[str, str]:
    """Give the variables that name a scheduler where only this test runs."""
    return new_task_hub()


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


@pytest.fixture(scope="module")
def shared_sample() -> Iterator[Sample]:
    """Give the sample's worker in this process, on an emulator that skips pauses."""
    pytest.importorskip("dts_emulator", reason="there is no emulator/")
    from dts_emulator import Emulator

    with (
        Emulator(skip_time=True, check_determinism=True) as emulator,
        sample_worker(emulator.endpoint) as sample,
    ):
        yield sample


@pytest.fixture
def sample(shared_sample: Sample, caplog: pytest.LogCaptureFixture) -> Sample:
    """Give the module's worker, with the sample's own functions and a log of its own."""
    caplog.set_level(logging.INFO, logger="worker")
    shared_sample.replaced.clear()
    return shared_sample
