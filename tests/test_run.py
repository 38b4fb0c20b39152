"""`make run`, and what the end of run.py leaves behind; tests/rest/test_up.py has the rest."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from tests.processes import PROJECT, lines_of_trouble, run, running, wait_until

pytest.importorskip("dts_emulator", reason="there is no emulator/")


def test_make_run_prints_the_result_and_no_address_that_is_gone_when_it_ends() -> None:
    finished = run("run.py", "3", "--workers", "2", "--port", "0")
    assert finished.status == 0
    assert json.loads(finished.stdout) == {"total_items": 3, "sum": 14, "average": 14 / 3}
    log = finished.stderr
    assert lines_of_trouble(finished) == []
    assert "See the run" not in log
    assert "To see runs in the dashboard, keep emulator and worker running: make up" in log
    ends = ["Orchestration completed with status", "worker[1] INFO: Worker stopped"]
    assert sorted(ends, key=log.index) == ends
    assert "worker[2] INFO: Worker stopped" in log


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_kill_9_of_run_py_leaves_no_worker() -> None:
    ports = ("--port", "0", "--dashboard-port", "0")
    with running("run.py", "--up", "--workers", "2", *ports) as program:
        wait_until(lambda: program.stderr.count("Successfully connected") == 2, "two workers")
        workers = psutil.Process(program.pid).children()
        assert len(workers) == 2
        program.send(signal.SIGKILL)
        wait_until(
            lambda: not [each for each in workers if each.is_running()], "the workers have ended"
        )


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["run"], "python run.py 10 --workers 1"),
        (["run", "N=7", "TIMEOUT=5"], "python run.py 7 --timeout 5 --workers 1"),
        (["run", "DB=a b.db"], "python run.py 10 --workers 1 --db-file 'a b.db'"),
        (["up", "WORKERS=3"], "python run.py --up --workers 3"),
        (["up", "DB=dev.db"], "python run.py --up --workers 1 --db-file 'dev.db'"),
    ],
)
def test_make_passes_its_variables_on(words: list[str], command: str) -> None:
    told = subprocess.run(
        ["make", "--dry-run", *words], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert command in [" ".join(line.split()) for line in told.stdout.splitlines()]
