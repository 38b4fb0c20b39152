"""The emulator's command line, as a real process."""

from __future__ import annotations

import signal
import socket
import time
import urllib.error
import urllib.request
from contextlib import AbstractContextManager
from importlib.metadata import version

import pytest

from dts_emulator import __version__
from tests.processes import FREE_PORTS, Program, dashboard_of, endpoint_of, run, running


def emulator(*arguments: str, **variables: str) -> AbstractContextManager[Program]:
    """Run an emulator on free ports for the length of a block."""
    return running("-m", "dts_emulator", *FREE_PORTS, *arguments, **variables)


def hubs_of(program: Program) -> str:
    """Return the task hubs that the ready banner names."""
    program.wait_for_line("Task hubs")
    return program.stdout.split("Task hubs")[1].strip()


def health_of(program: Program) -> int | None:
    """Return the status that /healthz answers with, None if nothing answers."""
    try:
        with urllib.request.urlopen(f"{dashboard_of(program)}/healthz", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_the_banner_names_both_addresses_and_the_task_hubs() -> None:
    with emulator() as program:
        assert hubs_of(program) == "default"
        assert endpoint_of(program).startswith("http://127.0.0.1:")
        assert program.stdout.startswith("Durable Task Scheduler emulator (stand-in) is ready\n")
        assert health_of(program) == 200
        assert program.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_5_seconds(number: signal.Signals) -> None:
    with emulator() as program:
        program.wait_for_line("Task hubs")
        begin = time.monotonic()
        program.send(number)
        finished = program.finish()
        assert time.monotonic() - begin < 5
    assert finished.status == 0
    assert "Traceback" not in finished.stderr


def test_a_signal_ends_it_while_a_worker_is_connected() -> None:
    with emulator() as program:
        program.wait_for_line("Task hubs")
        with running("-m", "tests.fan_out_worker", ENDPOINT=endpoint_of(program)) as worker:
            worker.wait_for_line("Successfully connected")
            begin = time.monotonic()
            finished = program.stop()
            assert time.monotonic() - begin < 5
            worker.kill()
    assert finished.status == 0


@pytest.mark.parametrize(
    ("arguments", "variable", "expected"),
    [
        ([], "blue,green", "blue, green"),
        (["--task-hubs", "red"], "blue,green", "red"),
        (["--task-hubs", "red, red,black"], "", "red, black"),
    ],
    ids=["the variable", "the flag wins", "names are cleaned"],
)
def test_task_hubs_come_from_the_flag_or_the_variable(
    arguments: list[str], variable: str, expected: str
) -> None:
    with emulator(*arguments, DTS_TASK_HUB_NAMES=variable) as program:
        assert hubs_of(program) == expected


@pytest.mark.parametrize(
    ("arguments", "variable", "expected"),
    [
        ([], "true", "default, and those that calls name"),
        ([], "False", "default"),
        (["--dynamic-task-hubs"], "", "default, and those that calls name"),
        (["--no-dynamic-task-hubs"], "True", "default"),
    ],
    ids=["the variable", "false", "the flag", "the flag wins"],
)
def test_calls_may_create_task_hubs_if_the_flag_or_the_variable_says_so(
    arguments: list[str], variable: str, expected: str
) -> None:
    with emulator(*arguments, DTS_USE_DYNAMIC_TASK_HUBS=variable) as program:
        assert hubs_of(program) == expected


def test_a_variable_that_is_neither_true_nor_false_is_one_line_and_status_2() -> None:
    finished = run("-m", "dts_emulator", *FREE_PORTS, DTS_USE_DYNAMIC_TASK_HUBS="yes")
    assert finished.status == 2
    assert finished.stderr.splitlines()[-1].endswith(
        "DTS_USE_DYNAMIC_TASK_HUBS is 'yes': set it to true or false"
    )


def test_another_host_brings_a_warning() -> None:
    with emulator("--host", "0.0.0.0") as program:
        program.wait_for_line("Task hubs")
        assert "without authentication" in program.stderr


@pytest.mark.parametrize("flag", ["--port", "--dashboard-port"])
def test_a_port_in_use_is_one_line_and_status_2(flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        finished = run("-m", "dts_emulator", *FREE_PORTS, flag, str(port))
    assert finished.status == 2
    assert finished.stdout == ""
    assert len(finished.stderr.splitlines()) == 1
    assert f"Port {port} on 127.0.0.1 is in use" in finished.stderr


def test_a_host_that_is_not_this_machine_is_status_2() -> None:
    finished = run("-m", "dts_emulator", *FREE_PORTS, "--host", "192.0.2.1")
    assert finished.status == 2
    assert "on 192.0.2.1 is in use or not allowed" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_version_names_the_project_and_the_sdk() -> None:
    finished = run("-m", "dts_emulator", "--version")
    assert finished.status == 0
    assert finished.stdout == f"{__version__} (durabletask {version('durabletask')})\n"


def test_the_help_names_every_option() -> None:
    finished = run("-m", "dts_emulator", "--help", COLUMNS="200")
    assert finished.status == 0
    for option in (
        "host",
        "port",
        "dashboard-port",
        "task-hubs",
        "dynamic-task-hubs",
        "lease-grace",
        "version",
    ):
        assert f"--{option}" in finished.stdout


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--port", "http"),
        ("--port", "65536"),
        ("--dashboard-port", "-1"),
        ("--task-hubs", "a,,b"),
        ("--lease-grace", "-1"),
        ("--lease-grace", "nan"),
        ("--max-payload-bytes", "1MB"),
        ("--log-level", "loud"),
        ("--unknown", "x"),
    ],
)
def test_a_wrong_value_is_explained_with_status_2(flag: str, value: str) -> None:
    finished = run("-m", "dts_emulator", f"{flag}={value}")
    assert finished.status == 2
    assert flag in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_wrong_variable_is_explained_with_status_2() -> None:
    finished = run("-m", "dts_emulator", DTS_TASK_HUB_NAMES="a,,b")
    assert finished.status == 2
    assert "'a,,b' contains an empty task hub name" in finished.stderr
