"""Standard streams that are closed, full or read by nobody: no traceback, the right status."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.processes import PATIENCE_SECONDS, PROJECT, Program, environment, needs_signals, run

pytestmark = pytest.mark.system

needs_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such streams")

RESULT = '{"total_items": 2, "sum": 5, "average": 2.5}\n'


def shell(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of bash where `python` is the tests' own."""
    return subprocess.run(
        ["bash", "-c", command.replace("python", sys.executable)],
        cwd=PROJECT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


@needs_posix
@pytest.mark.parametrize(
    ("redirection", "status", "stdout"),
    [
        ("| true; exit ${PIPESTATUS[0]}", 0, ""),
        (">&-", 0, ""),
        ("2>&-", 0, RESULT),
        ("2>/dev/full", 0, RESULT),
        (">&- 2>&- <&-", 0, ""),
        (">/dev/full", 2, ""),
        (">/dev/full 2>/dev/full", 2, ""),
    ],
)
def test_a_client_ends_with_its_status_whatever_its_streams_are(
    scheduler: dict[str, str], worker: Program, redirection: str, status: int, stdout: str
) -> None:
    ended = shell(f"python client.py 2 {redirection}", **scheduler)
    assert (ended.returncode, ended.stdout) == (status, stdout)
    for sign in ("Traceback", "Exception ignored", "BrokenPipe"):
        assert sign not in ended.stderr


@needs_posix
def test_a_result_that_cannot_be_written_can_be_fetched_again(
    scheduler: dict[str, str], worker: Program
) -> None:
    ended = shell("python client.py 2 --instance-id full >/dev/full", **scheduler)
    last = ended.stderr.splitlines()[-1]
    assert "cannot be written to stdout: No space left on device" in last
    assert last.endswith("python client.py --attach full")
    assert run("client.py", "--attach", "full", **scheduler).stdout == RESULT


@needs_posix
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", ">&- 2>&- <&-"])
@pytest.mark.parametrize("program", ["worker.py", "client.py", "run.py"])
def test_help_that_nobody_can_read_is_no_error(redirection: str, program: str) -> None:
    ended = shell(f"python {program} --help {redirection}")
    assert (ended.returncode, ended.stderr) == (0, "")


@needs_posix
@pytest.mark.parametrize("redirection", ["2>&-", ">&- 2>&- <&-", "2>/dev/full", "2>&1 | true"])
@pytest.mark.parametrize("arguments", ["worker.py --concurrency no", "client.py no", "run.py no"])
def test_a_wrong_argument_is_status_2_whatever_the_streams_are(
    redirection: str, arguments: str
) -> None:
    ended = shell(f"python {arguments} {redirection}; exit ${{PIPESTATUS[0]}}")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


@needs_signals
@pytest.mark.parametrize("redirection", ["2>&-", ">&- 2>&- <&-", "2>/dev/full"])
def test_a_worker_works_and_stops_without_a_stream_for_its_log(
    scheduler: dict[str, str], redirection: str
) -> None:
    command = f"exec {sys.executable} worker.py {redirection}"
    worker = subprocess.Popen(
        ["bash", "-c", command], cwd=PROJECT, env=environment(**scheduler), stderr=subprocess.PIPE
    )
    try:
        assert run("client.py", "2", **scheduler).stdout == RESULT
    finally:
        worker.terminate()
    _, said = worker.communicate(timeout=PATIENCE_SECONDS)
    assert (worker.returncode, said) == (0, b"")


@needs_signals
def test_a_worker_whose_log_nobody_reads_goes_on_and_ends_on_sigterm(
    scheduler: dict[str, str],
) -> None:
    worker = subprocess.Popen(
        [sys.executable, "worker.py"],
        cwd=PROJECT,
        env=environment(**scheduler),
        stderr=subprocess.PIPE,
    )
    assert worker.stderr is not None
    try:
        # Far more lines than the pipe holds.
        assert run("client.py", "1000", **scheduler).status == 0
        begin = time.monotonic()
        worker.terminate()
        assert worker.wait(PATIENCE_SECONDS) == 0
        assert time.monotonic() - begin < 8
    finally:
        worker.kill()
        worker.wait()
        worker.stderr.close()
