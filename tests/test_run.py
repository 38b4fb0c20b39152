"""`make run` and `make up`: what run.py starts, in which order it stops it, and what it says."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.processes import PROJECT, Program, copy_sample, needs_signals, run, running, wait_until

FREE_PORTS = ("--", "--port", "0", "--dashboard-port", "0")

# Becomes the leader of a group of processes, as what a shell starts is, and then run.py.
AS_FROM_A_SHELL = (
    "-c",
    "import os, sys; os.setsid(); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])",
)

TROUBLE = ("WARNING", "ERROR", "Traceback", "Error")


@contextmanager
def sample(*arguments: str, folder: Path = PROJECT, **variables: str) -> Iterator[Program]:
    """Run run.py on free ports, as from a shell, and leave nothing behind."""
    command = (*AS_FROM_A_SHELL, "run.py", *arguments, *FREE_PORTS)
    with running(*command, folder=str(folder), **variables) as program:
        try:
            yield program
        finally:
            for child in programs_of(program):
                child.kill()


def programs_of(program: Program) -> list[psutil.Process]:
    return psutil.Process(program.pid).children() if program.is_running else []


def worker_of(program: Program) -> psutil.Process:
    return next(child for child in programs_of(program) if "worker.py" in child.cmdline())


def press_ctrl_c(program: Program) -> None:
    """Send SIGINT to the whole group, as a terminal does."""
    os.killpg(program.pid, signal.SIGINT)


def trouble_in(log: str) -> list[str]:
    return [line for line in log.splitlines() if any(word in line for word in TROUBLE)]


def test_the_result_alone_is_on_stdout_and_nothing_but_news_in_the_log() -> None:
    finished = run("run.py", "3", "--workers", "2", *FREE_PORTS)
    assert finished.status == 0
    assert json.loads(finished.stdout) == {"total_items": 3, "sum": 14, "average": 14 / 3}
    assert finished.stderr.startswith("Durable Task Scheduler emulator (stand-in) is ready\n")
    assert finished.stderr.count("A worker has connected") == 2
    assert trouble_in(finished.stderr) == []


@needs_signals
@pytest.mark.parametrize(
    ("redirection", "status", "words"),
    [("| true; exit ${PIPESTATUS[0]}", 0, ""), (">/dev/full", 2, "cannot be written to stdout")],
)
def test_a_result_that_nobody_takes_is_no_traceback(
    redirection: str, status: int, words: str
) -> None:
    command = shlex.join([sys.executable, "run.py", "1", *FREE_PORTS])
    finished = run("-c", f"{command} {redirection}", executable="bash")
    assert finished.status == status
    assert words in finished.stderr
    assert "Traceback" not in finished.stderr


def test_what_was_started_first_is_stopped_last() -> None:
    log = run("run.py", "1", *FREE_PORTS).stderr
    ends = ["Orchestration completed", "worker INFO: Worker stopped", "emulator INFO: Stopping"]
    assert sorted(ends, key=log.index) == ends


def test_the_status_is_that_of_the_client() -> None:
    finished = run("run.py", "0", *FREE_PORTS)
    assert finished.status == 2
    assert "'0' is not a whole number from 1 to" in finished.stderr


def test_another_scheduler_that_the_environment_names_is_left_alone() -> None:
    elsewhere = "Endpoint=https://elsewhere.invalid;TaskHub=other"
    finished = run("run.py", "1", *FREE_PORTS, DURABLE_TASK_SCHEDULER_CONNECTION_STRING=elsewhere)
    assert finished.status == 0
    assert run("run.py", "1", *FREE_PORTS, ENDPOINT="http://elsewhere.invalid").status == 0


def test_a_run_that_takes_too_long_does_not_send_its_user_to_an_emulator_that_is_gone() -> None:
    finished = run("run.py", "50", "--timeout", "0.5", *FREE_PORTS)
    assert finished.status == 3
    assert finished.stdout == ""
    assert "more time: make run N=50 TIMEOUT=" in finished.stderr.splitlines()[-1]
    assert "--attach" not in finished.stderr


@needs_signals
def test_a_run_without_a_worker_is_given_up() -> None:
    with sample("500") as program:
        program.wait_for_line("Processing work item: 1")
        worker_of(program).kill()
        finished = program.finish()
    assert finished.status == 1
    assert "No worker is left" in finished.stderr.splitlines()[-1]


def test_a_port_in_use_is_said_with_status_2_and_nothing_runs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        finished = run("run.py", "--", "--port", str(port), "--dashboard-port", "0")
    assert finished.status == 2
    assert f"Port {port} on 127.0.0.1 is in use" in finished.stderr
    assert len(finished.stderr.splitlines()) == 2
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("arguments", [("--workers", "0"), ("--timeout", "-1"), ("many",)])
def test_a_wrong_argument_is_status_2(arguments: tuple[str, ...]) -> None:
    finished = run("run.py", *arguments)
    assert finished.status == 2
    assert "usage: run.py" in finished.stderr


@needs_signals
def test_ctrl_c_in_the_middle_of_a_run_ends_it_without_complaints() -> None:
    with sample("500") as program:
        program.wait_for_line("Processing work item: 400")
        press_ctrl_c(program)
        finished = program.finish()
    assert finished.status == 130
    assert finished.stdout == ""
    assert "Worker stopped" in finished.stderr
    assert trouble_in(finished.stderr) == []


@needs_signals
def test_a_second_ctrl_c_ends_what_does_not_end() -> None:
    with sample("--up") as program:
        program.wait_for_line("Successfully connected")
        started = programs_of(program)
        worker_of(program).suspend()
        press_ctrl_c(program)
        program.wait_for_line("Ctrl-C again ends everything at once")
        press_ctrl_c(program)
        assert program.finish(8).status == 0
        assert not [child for child in started if child.is_running()]


# make up


@needs_signals
def test_up_keeps_as_many_workers_running_as_wanted_until_ctrl_c() -> None:
    with sample("--up", "--workers", "3") as program:
        wait_until(lambda: program.stderr.count("A worker has connected") == 3, "three workers")
        press_ctrl_c(program)
        finished = program.finish()
    assert finished.status == 0
    assert finished.stderr.count("Worker stopped") == 3
    assert trouble_in(finished.stderr) == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a copy of the sample and the emulator that a test may change."""
    copy_sample(tmp_path)
    shutil.copytree(PROJECT / "emulator", tmp_path / "emulator")
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


@contextmanager
def kept_up(project: Path) -> Iterator[Program]:
    """Keep an emulator and a worker of a project running, and end them with Ctrl-C."""
    with sample("--up", folder=project) as program:
        program.wait_for_line("Successfully connected")
        yield program
        press_ctrl_c(program)
        assert program.finish().status == 0


def wait_for_new_worker(program: Program) -> None:
    wait_until(lambda: program.stderr.count("Successfully connected") == 2, "a new worker")


@needs_signals
def test_a_worker_starts_again_with_what_was_changed_and_finishes_what_it_holds_before(
    project: Path,
) -> None:
    with kept_up(project) as program:
        endpoint = endpoint_of_log(program)
        with running("client.py", "5", ENDPOINT=endpoint) as client:
            program.wait_for_line("Processing work item: 5")
            edit(project / "worker.py", "Processing work item", "Taking work item")
            program.wait_for_line("Changed: worker.py")
            assert client.finish().status == 0
        wait_for_new_worker(program)
        for item in range(1, 6):
            assert program.stderr.count(f"work item: {item}\n") == 1
        assert run("client.py", "1", ENDPOINT=endpoint).status == 0
        assert "Taking work item: 1" in program.stderr


@needs_signals
def test_a_worker_that_a_change_has_broken_starts_again_when_it_is_mended(project: Path) -> None:
    with kept_up(project) as program:
        edit(project / "scheduler.py", "import os", "import os nonsense")
        program.wait_for_line("No worker is left; they start again when a .py file changes")
        edit(project / "scheduler.py", "import os nonsense", "import os")
        wait_for_new_worker(program)


@needs_signals
def test_a_change_that_no_worker_imports_leaves_them_alone(project: Path) -> None:
    with kept_up(project) as program:
        (project / "emulator" / "new.py").write_text("")
        (project / "notes.txt").write_text("")
        (project / "new.py").write_text("")
        program.wait_for_line("Changed: ")
        assert "Changed: new.py\n" in program.stderr


# make


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["run"], "python run.py 10 --workers 1 --"),
        (["run", "N=7", "TIMEOUT=5"], "python run.py 7 --timeout 5 --workers 1 --"),
        (["run", "DB=a b.db"], "python run.py 10 --workers 1 -- --db-file 'a b.db'"),
        (["up", "WORKERS=3"], "python run.py --up --workers 3 --"),
        (["up", "DB=dev.db"], "python run.py --up --workers 1 -- --db-file 'dev.db'"),
        (["up", "EMULATOR_ARGS=--port 0"], "python run.py --up --workers 1 -- --port 0"),
    ],
)
def test_make_hands_its_variables_on(words: list[str], command: str) -> None:
    told = subprocess.run(
        ["make", "--dry-run", *words], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert command in [" ".join(line.split()) for line in told.stdout.splitlines()]


def endpoint_of_log(program: Program) -> str:
    """Return the endpoint that the emulator's banner names; here it goes to the log."""
    return next(line.split()[1] for line in program.stderr.splitlines() if " gRPC " in line)
