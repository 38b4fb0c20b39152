"""A client in JavaScript runs on our worker, and a worker in JavaScript serves our client."""

from __future__ import annotations

import json

import pytest

from tests.interop.javascript import answer, javascript, needs_javascript
from tests.processes import Program, run

pytestmark = [pytest.mark.system, needs_javascript]

RESULT = {"total_items": 10, "sum": 385, "average": 38.5}


def test_a_client_in_javascript_runs_ten_items_on_our_worker(
    scheduler: dict[str, str], worker: Program
) -> None:
    items = json.dumps(list(range(1, 11)))
    result = answer("schedule.mjs", "fan_out_fan_in_orchestrator", items, **scheduler)
    assert result == {"status": "COMPLETED", "output": RESULT}


def test_a_worker_in_javascript_serves_our_client(scheduler: dict[str, str]) -> None:
    with javascript("fan_out_worker.mjs", **scheduler) as worker:
        worker.wait_for_line("started")
        client = run("client.py", **scheduler)
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout) == RESULT
