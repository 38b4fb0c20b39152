"""Worker and client work with those of the SDK for JavaScript."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.processes import PROJECT, Program, run, running

NODE = shutil.which("node")
PROGRAMS = PROJECT / "emulator" / "tests" / "rest" / "interop"
SDK = PROJECT / "emulator" / "tests" / "node_modules" / "@microsoft" / "durabletask-js"

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        NODE is None or not SDK.is_dir(),
        reason="needs Node.js and npm: `make emulator/tests/node_modules`",
    ),
]

RESULT = {"total_items": 10, "sum": 385, "average": 38.5}


def test_a_client_in_javascript_runs_ten_items_on_our_worker(
    scheduler: dict[str, str], worker: Program
) -> None:
    arguments = ("fan_out_fan_in_orchestrator", json.dumps(list(range(1, 11))))
    client = run(str(PROGRAMS / "schedule.mjs"), *arguments, executable=NODE or "", **scheduler)
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout) == {"status": "COMPLETED", "output": RESULT}


def test_a_worker_in_javascript_serves_our_client(scheduler: dict[str, str]) -> None:
    program = str(PROGRAMS / "fan_out_worker.mjs")
    with running(program, executable=NODE or "", **scheduler) as worker:
        worker.wait_for_line("started")
        client = run("client.py", **scheduler)
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout) == RESULT
