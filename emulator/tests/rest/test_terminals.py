"""The emulator among shells: streams that are closed, full or unread, names that forge lines."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.empty_pb2 import Empty

from tests.processes import (
    PATIENCE_SECONDS,
    PROJECT,
    Program,
    endpoint_of,
    environment,
    running,
    wait_until,
)
from tests.wire import Wire

needs_bash = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")

FREE_PORTS = "--port 0 --dashboard-port 0"


def in_shell(redirection: str, arguments: str = FREE_PORTS) -> subprocess.Popen[str]:
    """Start an emulator with its streams as a shell's redirections say."""
    return subprocess.Popen(
        ["bash", "-c", f'exec "$0" -m dts_emulator {arguments} {redirection}', sys.executable],
        cwd=PROJECT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ports_of(pid: int) -> list[int]:
    """Return the TCP ports that a process listens on (Linux)."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # It has been closed meanwhile.
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry))
            sockets |= {found[1]} if found else set()
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row for row in rows if row[3] == "0A" and row[9] in sockets]
    return [int(row[1].partition(":")[2], 16) for row in listening]


def is_healthy(pid: int) -> bool:
    """Return whether one of a process's ports answers that the emulator is ready."""
    for port in ports_of(pid):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                return bool(answer.read() == b"ready\n")
        except (OSError, HTTPException):  # A gRPC port speaks no HTTP/1.
            continue
    return False


@needs_bash
@needs_full
@pytest.mark.parametrize(
    "redirection",
    [">&-", "2>&-", "<&- >&- 2>&-", "> /dev/full", "2> /dev/full", "> /dev/full 2>&1"],
)
def test_it_serves_and_ends_well_whatever_its_streams_are(redirection: str) -> None:
    process = in_shell(redirection)
    try:
        wait_until(lambda: is_healthy(process.pid), "it serves")
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Traceback" not in stdout + stderr
    assert "Exception ignored" not in stderr


@needs_bash
@needs_full
def test_a_reader_that_has_gone_away_is_one_line(tmp_path: Path) -> None:
    process = in_shell("> >(exec <&-)")
    assert process.stderr is not None
    try:
        wait_until(lambda: is_healthy(process.pid), "it serves")
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Traceback" not in stderr


@needs_bash
@needs_full
@pytest.mark.parametrize("question", ["--help", "--version"])
@pytest.mark.parametrize("redirection", [">&-", "> /dev/full", ">&- 2>&-"])
def test_a_question_whose_answer_nobody_can_read_is_no_error(
    question: str, redirection: str
) -> None:
    process = in_shell(redirection, question)
    _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert stderr == ""


@needs_bash
def test_a_log_that_nobody_reads_holds_up_nothing() -> None:
    """A pipe takes 64 KiB; gRPC's own log, with everything in it, fills that at once."""
    process = in_shell("", f"{FREE_PORTS} --log-level debug")
    assert process.stdout is not None
    try:
        lines = list(iter(process.stdout.readline, "  Task hubs  default\n"))
        dashboard = next(line.split()[1] for line in lines if " Dashboard " in line)
        endpoint = next(line.split()[1] for line in lines if " gRPC " in line)
        late = pb.ActivityResponse(completionToken="x" * 1000)
        with grpc.insecure_channel(endpoint.removeprefix("http://")) as channel:
            for _ in range(300):
                Wire(channel).call("CompleteActivityTask", late)
        with urllib.request.urlopen(f"{dashboard}/healthz", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.communicate()


# Files


@contextmanager
def with_few_files(soft: int, hard: int) -> Iterator[Program]:
    """Run an emulator that may open few files."""
    program = (
        "import resource, runpy, sys; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); "
        "sys.argv[0] = 'emulator'; runpy.run_module('dts_emulator', run_name='__main__')"
    )
    with running("-c", program, *FREE_PORTS.split()) as started:
        started.wait_for_line("Task hubs")
        yield started


@needs_bash
def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    limits = Path(f"/proc/{os.getpid()}/limits")
    if not limits.exists():
        pytest.skip("needs Linux's /proc")
    with with_few_files(256, 4096) as started:
        said = Path(f"/proc/{started.pid}/limits").read_text()
    (line,) = [line for line in said.splitlines() if line.startswith("Max open files")]
    assert line.split()[3:5] == ["4096", "4096"]


@needs_bash
def test_300_idle_connections_fill_neither_the_log_nor_the_processor() -> None:
    with with_few_files(256, 256) as emulator:
        line = next(line for line in emulator.stdout.splitlines() if " Dashboard " in line)
        port = int(line.rpartition(":")[2])
        idle = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(300)]
        with grpc.insecure_channel(endpoint_of(emulator).removeprefix("http://")) as channel:
            Wire(channel).call("Hello", Empty())  # The scheduler still answers.
        assert len(emulator.stderr.splitlines()) <= 2
        for connection in idle:
            connection.close()
        wait_until(lambda: health_of(port) == b"ready\n", "the dashboard answers again")
        assert "Traceback" not in emulator.stderr


def health_of(port: int) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bytes(answer.read())
    except OSError:
        return b""
