"""`make up`, and `make run` where something fails."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.processes import (
    Program,
    copy_sample,
    lines_of_trouble,
    needs_signals,
    run,
    running,
    wait_until,
)

pytest.importorskip("dts_emulator", reason="there is no emulator/")

PORTS = ("--port", "0", "--dashboard-port", "0")

# make run


def test_the_status_is_that_of_the_client() -> None:
    finished = run("run.py", "0", "--port", "0")
    assert finished.status == 2
    assert "number_of_items must be from 1 to 100000" in finished.stderr


def test_a_scheduler_that_the_environment_names_is_ignored() -> None:
    elsewhere = "Endpoint=https://elsewhere.invalid;TaskHub=other"
    variables = {"DURABLE_TASK_SCHEDULER_CONNECTION_STRING": elsewhere}
    assert run("run.py", "1", "--port", "0", **variables).status == 0
    assert run("run.py", "1", "--port", "0", ENDPOINT="http://elsewhere.invalid").status == 0


def test_a_run_that_takes_too_long_does_not_name_an_emulator_that_is_gone() -> None:
    finished = run("run.py", "50", "--timeout", "0.5", "--port", "0")
    assert (finished.status, finished.stdout) == (3, "")
    assert "Allow more time: make run N=50 TIMEOUT=2" in finished.stderr
    assert "--attach" not in finished.stderr


@needs_signals
def test_a_run_without_a_worker_is_given_up() -> None:
    with running("run.py", "500", "--port", "0") as program:
        program.wait_for_line("Processing work item: 1")
        workers(program)[0].kill()
        finished = program.finish()
    assert finished.status == 1
    assert finished.stderr.splitlines()[-1].endswith("run ERROR: No worker is left")


def test_a_port_in_use_is_one_line_and_status_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        finished = run("run.py", "--port", str(port))
    assert finished.status == 2
    (line,) = finished.stderr.splitlines()
    assert f"Port {port} on 127.0.0.1 is in use" in line


@needs_signals
def test_ctrl_c_ends_a_run_without_complaints() -> None:
    with running("run.py", "500", "--port", "0") as program:
        program.wait_for_line("Processing work item: 400")
        program.send(signal.SIGINT)
        finished = program.finish()
    assert (finished.status, finished.stdout) == (130, "")
    assert "Worker stopped" in finished.stderr
    assert lines_of_trouble(finished) == []


# make up


def workers(program: Program) -> list[psutil.Process]:
    children = psutil.Process(program.pid).children()
    return [child for child in children if "worker.py" in child.cmdline()]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a copy of the sample that a test may change."""
    copy_sample(tmp_path)
    (tmp_path / "emulator").mkdir()
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


@contextmanager
def kept_up(project: Path) -> Iterator[tuple[Program, str]]:
    """Keep an emulator and a worker running, give the endpoint, and end them with Ctrl-C."""
    with running("run.py", "--up", *PORTS, folder=str(project)) as program:
        program.wait_for_line("Successfully connected")
        ready = next(line for line in program.stderr.splitlines() if "Ready: ENDPOINT=" in line)
        yield program, ready.partition("ENDPOINT=")[2].partition(",")[0]
        program.send(signal.SIGINT)
        ended = program.finish()
        assert ended.status == 0
        assert ended.stderr.splitlines()[-1].endswith("Worker stopped")


def wait_for_new_worker(program: Program) -> None:
    wait_until(lambda: program.stderr.count("Successfully connected") == 2, "a new worker")


@needs_signals
def test_a_worker_finishes_its_items_and_restarts_with_the_changed_code(project: Path) -> None:
    with kept_up(project) as (program, endpoint):
        with running("client.py", "5", ENDPOINT=endpoint) as client:
            program.wait_for_line("Processing work item: 5")
            edit(project / "worker.py", "Processing work item", "Taking work item")
            program.wait_for_line("Changed: worker.py")
            assert client.finish().status == 0
        wait_for_new_worker(program)
        for item in range(1, 6):
            assert program.stderr.count(f"work item: {item}\n") == 1
        assert "1 runs in flight must fit the new code: docs/orchestrators.md" in program.stderr
        assert run("client.py", "1", ENDPOINT=endpoint).status == 0
        assert "Taking work item: 1" in program.stderr


@needs_signals
def test_a_worker_that_a_change_has_broken_restarts_when_it_is_mended(project: Path) -> None:
    file = project / "hosting" / "scheduler.py"
    with kept_up(project) as (program, _):
        edit(file, "import os", "import os nonsense")
        program.wait_for_line("SyntaxError")
        edit(file, "import os nonsense", "import os")
        wait_for_new_worker(program)
        assert "in flight" not in program.stderr


@needs_signals
def test_a_change_that_no_worker_imports_does_not_restart_them(project: Path) -> None:
    with kept_up(project) as (program, _):
        (project / "emulator" / "new.py").write_text("")
        (project / "notes.txt").write_text("")
        (project / "new.py").write_text("")
        program.wait_for_line("Changed: ")
        assert "Changed: new.py\n" in program.stderr
        wait_for_new_worker(program)
