"""Programs of the SDK for JavaScript use our workers and client, and ours use theirs."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.processes import PROJECT, Program, run, running

NODE = shutil.which("node")
PROGRAMS = PROJECT / "emulator" / "tests" / "interop"
SDK = PROJECT / "emulator" / "tests" / "node_modules" / "@microsoft" / "durabletask-js"

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        NODE is None or not SDK.is_dir(),
        reason="needs Node.js and npm: `make emulator/tests/node_modules`",
    ),
]

RESULT = {"total_items": 10, "sum": 385, "average": 38.5}


def scheduled(orchestration: str, items: list[Any], **variables: str) -> Any:
    """Return the result of an orchestration that a client in JavaScript has run."""
    program = str(PROGRAMS / "schedule.mjs")
    finished = run(program, orchestration, json.dumps(items), executable=NODE or "", **variables)
    assert finished.status == 0, finished.stderr
    return json.loads(finished.stdout)


def test_a_client_in_javascript_runs_ten_items_on_our_worker(
    scheduler: dict[str, str], worker: Program
) -> None:
    result = scheduled("fan_out_fan_in_orchestrator", list(range(1, 11)), **scheduler)
    assert result == {"status": "COMPLETED", "output": RESULT}


def test_a_worker_in_javascript_serves_our_client(scheduler: dict[str, str]) -> None:
    program = str(PROGRAMS / "fan_out_worker.mjs")
    with running(program, executable=NODE or "", **scheduler) as worker:
        worker.wait_for_line("started")
        client = run("client.py", **scheduler)
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout) == RESULT


@pytest.mark.parametrize(
    ("example", "orchestration", "items", "output"),
    [
        (
            "text_lengths",
            "ParallelProcessingOrchestration",
            ["Task1", "VeryLongTask5", "\N{GRINNING FACE}", "a\N{NO-BREAK SPACE}b", "", "Task1"],
            {
                "Task1": 5,
                "VeryLongTask5": 13,
                "\N{GRINNING FACE}": 2,
                "a\N{NO-BREAK SPACE}b": 3,
                "": 0,
            },
        ),
        ("word_count", "FanOutFanIn_WordCount", ["Hello, world!", "tab\tline\nform\ffeed"], 6),
        ("word_count", "FanOutFanIn_WordCount", [], 0),
    ],
)
def test_the_examples_count_as_their_originals_do_for_a_client_in_javascript(
    scheduler: dict[str, str], example: str, orchestration: str, items: list[str], output: Any
) -> None:
    with running("-m", f"examples.{example}.worker", **scheduler):
        result = scheduled(orchestration, items, **scheduler)
    assert result["status"] == "COMPLETED"
    counted = result["output"]
    assert counted == output
    if isinstance(output, dict):
        assert list(counted) == list(output)  # In the order of the items.
