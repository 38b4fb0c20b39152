"""The emulator's command line: arguments and variables in this process, signals in another."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest

from dts_emulator import Emulator, PortError, __main__, __version__
from dts_emulator.engine.errors import InvalidError
from tests.processes import FREE_PORTS, Program, dashboard_of, endpoint_of, run, running

Given = Callable[..., dict[str, Any]]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Give a function that runs the command and returns what it makes an emulator of.

    The emulator finds its port taken. This process keeps its handlers of signals, its limits and
    its way of being scheduled.
    """

    class Recorded:
        def __init__(self, **options: Any) -> None:
            self.options.update(options)

        def start(self) -> None:
            raise PortError("Port 1 is in use")

        options: dict[str, Any] = {}  # noqa: RUF012, new for each test

    def run_command(*arguments: str, **variables: str) -> dict[str, Any]:
        for name in ("DTS_TASK_HUB_NAMES", "DTS_USE_DYNAMIC_TASK_HUBS"):
            monkeypatch.setenv(name, variables.get(name, ""))
        assert __main__.main(arguments) == 2
        return Recorded.options

    monkeypatch.setattr(__main__, "Emulator", Recorded)
    monkeypatch.setattr("dts_emulator.process.raise_file_limit", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(os, "sched_setscheduler", lambda *_: None, raising=False)
    return run_command


@pytest.mark.parametrize(
    ("arguments", "variable", "expected"),
    [
        ([], "", ["default"]),
        ([], "blue,green", ["blue", "green"]),
        (["--task-hubs", "red"], "blue,green", ["red"]),
        (["--task-hubs", "red, red,black"], "", ["red", "black"]),
    ],
    ids=["neither", "the variable", "the flag wins", "names are cleaned"],
)
def test_task_hubs_come_from_the_flag_or_the_variable(
    given: Given, arguments: list[str], variable: str, expected: list[str]
) -> None:
    assert given(*arguments, DTS_TASK_HUB_NAMES=variable)["task_hubs"] == expected


@pytest.mark.parametrize(
    ("arguments", "variable", "expected"),
    [
        ([], "true", True),
        ([], "False", False),
        (["--dynamic-task-hubs"], "", True),
        (["--no-dynamic-task-hubs"], "True", False),
    ],
    ids=["the variable", "false", "the flag", "the flag wins"],
)
def test_calls_may_create_task_hubs_if_the_flag_or_the_variable_says_so(
    given: Given, arguments: list[str], variable: str, expected: bool
) -> None:
    found = given(*arguments, DTS_USE_DYNAMIC_TASK_HUBS=variable)
    assert found["dynamic_task_hubs"] is expected


def test_options_are_those_of_an_emulator(given: Given) -> None:
    options = {
        "host": "127.0.0.2",
        "port": 1,
        "dashboard_port": 2,
        "lease_grace": 0.5,
        "max_payload_bytes": 7,
        "db_file": "dev.db",
    }
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    found = given(*arguments, "--dashboard-read-only", "--check-determinism")
    assert options.items() <= found.items()
    assert found["dashboard_read_only"]
    assert found["check_determinism"]


@pytest.mark.parametrize(("host", "warns"), [("0.0.0.0", True), ("::1", False)])
def test_another_host_brings_a_warning(
    given: Given, caplog: pytest.LogCaptureFixture, host: str, warns: bool
) -> None:
    with caplog.at_level(logging.WARNING, "emulator"):
        given("--host", host)
    assert ("without authentication" in caplog.text) == warns


WRONG = [
    ("--port", "http"),
    ("--port", "65536"),
    ("--port", "٣"),
    ("--dashboard-port", "-1"),
    ("--dashboard-port", "²"),
    ("--task-hubs", "a,,b"),
    ("--task-hubs", "a/b"),
    ("--task-hubs", "a\nforged line"),
    ("--lease-grace", "-1"),
    ("--lease-grace", "nan"),
    ("--lease-grace", "٣"),
    ("--lease-grace", "1_0"),
    ("--max-payload-bytes", "1MB"),
    ("--max-payload-bytes", "9" * 5000),
    ("--log-level", "loud"),
    ("--unknown", "x"),
    ("DTS_TASK_HUB_NAMES", "a,,b"),
    ("DTS_TASK_HUB_NAMES", "größe"),
    ("DTS_USE_DYNAMIC_TASK_HUBS", "yes"),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda text: ascii(text)[:30])
def test_a_wrong_argument_or_variable_is_explained_with_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    if name.isupper():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        __main__.main([] if name.isupper() else [f"{name}={value}"])
    output = capsys.readouterr()
    assert ended.value.code == 2
    assert output.out == ""
    assert "error: " in output.err
    assert name in output.err or name == "DTS_TASK_HUB_NAMES"
    assert not any(line.startswith("forged") for line in output.err.splitlines())


BAD_NAMES = ["a/b", "x.json", "", "größe", "a\nb", ".", "..", ".hidden", "a b", "x" * 65, "a%2Fb"]


def test_a_task_hub_that_has_no_page_or_cannot_be_called_is_refused() -> None:
    for name in BAD_NAMES:
        with pytest.raises(InvalidError, match="task hub name"):
            Emulator(task_hubs=[name])


def test_the_version_names_the_project_and_the_sdk(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        __main__.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{__version__} (durabletask {version('durabletask')})\n"


# As a process


def health_of(program: Program) -> int | None:
    """Return the status that /healthz answers with, None if nothing answers."""
    try:
        with urllib.request.urlopen(f"{dashboard_of(program)}/healthz", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_a_banner_tells_that_it_is_ready_and_ctrl_c_ends_it_quietly() -> None:
    with running("-m", "dts_emulator", *FREE_PORTS, "--dynamic-task-hubs") as program:
        program.wait_for_line("Task hubs")
        assert program.stdout.splitlines() == [
            "Durable Task Scheduler emulator (stand-in) is ready",
            f"  gRPC       {endpoint_of(program)}",
            f"  Dashboard  {dashboard_of(program)}",
            "  State      in memory, lost when the emulator stops",
            "  Task hubs  default, and those that calls name",
        ]
        assert endpoint_of(program).startswith("http://127.0.0.1:")
        assert health_of(program) == 200
        assert program.stderr == ""
        program.send(signal.SIGINT)
        finished = program.finish()
    assert finished.status == 0
    assert "Traceback" not in finished.stderr


def test_a_signal_ends_it_within_5_seconds_while_a_worker_is_connected() -> None:
    with running("-m", "dts_emulator", *FREE_PORTS) as program:
        program.wait_for_line("Task hubs")
        with running("-m", "tests.fan_out_worker", ENDPOINT=endpoint_of(program)) as worker:
            worker.wait_for_line("Successfully connected")
            begin = time.monotonic()
            finished = program.stop()
            assert time.monotonic() - begin < 5
            worker.kill()
    assert finished.status == 0


def test_a_port_in_use_is_one_line_and_status_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        finished = run("-m", "dts_emulator", "--port", "0", "--dashboard-port", str(port))
    assert (finished.status, finished.stdout) == (2, "")
    assert len(finished.stderr.splitlines()) == 1
    assert f"Port {port} on 127.0.0.1 is in use" in finished.stderr
