"""The programs of the examples print what the quickstart shows."""

from __future__ import annotations

import json
import re

import pytest

from examples.text_lengths import client as text_lengths
from examples.word_count import client as word_count
from tests.processes import NO_SCHEDULER, PROJECT, run, running

pytestmark = pytest.mark.system

EXPECTED = """\
Starting Fan-Out Fan-In Pattern - Parallel Processing Client
Using local emulator with no authentication
Starting parallel processing orchestration with 5 work items
Work items: ["Task1","Task2","Task3","LongerTask4","VeryLongTask5"]
Started orchestration with ID: ID
Waiting for orchestration to complete...
Orchestration completed with status: Completed
Processing results:
Work item: Task1, Result: 5
Work item: Task2, Result: 5
Work item: Task3, Result: 5
Work item: LongerTask4, Result: 11
Work item: VeryLongTask5, Result: 13
Total items processed: 5
"""


def without_id(output: str) -> str:
    return re.sub(r"(Started (?:new )?orchestration.*: )\w+", r"\1ID", output)


def shown_on_the_page(first_line: str) -> str:
    """Return the block of examples/README.md that begins with a line, without the ID."""
    text = (PROJECT / "examples" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (block,) = (block for block in blocks if block.startswith(first_line))
    return without_id(block)


def test_the_csharp_form_prints_the_quickstarts_lines(scheduler: dict[str, str]) -> None:
    with running("-m", "examples.text_lengths.worker", **scheduler) as worker:
        ended = run("-m", "examples.text_lengths.client", **scheduler)
        other = run("-m", "examples.text_lengths.client", "a", "\U0001f600", "a", **scheduler)
        assert worker.stop().status == 0
    assert (ended.status, ended.stderr) == (0, "")
    assert without_id(ended.stdout) == EXPECTED == shown_on_the_page("Starting Fan-Out")
    assert json.dumps(text_lengths.DEFAULT_ITEMS, separators=(",", ":")) in EXPECTED
    assert worker.stderr.count("worker INFO: Processing work item: LongerTask4") == 1
    assert "worker INFO: Aggregating results from 5 items" in worker.stderr
    assert other.stdout.splitlines()[-3:] == [
        "Work item: a, Result: 1",
        "Work item: \U0001f600, Result: 2",
        "Total items processed: 2",
    ]


def test_the_java_form_counts_the_words(scheduler: dict[str, str]) -> None:
    with running("-m", "examples.word_count.worker", **scheduler) as worker:
        ended = run("-m", "examples.word_count.client", **scheduler)
        other = run("-m", "examples.word_count.client", "Two words", "and three more", **scheduler)
        assert worker.stop().status == 0
    assert ended.status == 0, ended.stderr
    assert without_id(ended.stdout) == shown_on_the_page("Started new")
    assert len(word_count.DEFAULT_SENTENCES) == 5
    assert other.stdout.splitlines()[-1] == "Output: 5"


def test_without_a_scheduler_an_example_ends_with_status_4() -> None:
    code = (
        "import sys; from examples.text_lengths import client; client.TIMEOUT_SECONDS = 0.5; "
        "sys.exit(client.main())"
    )
    ended = run("-c", code, ENDPOINT=NO_SCHEDULER)
    assert ended.status == 4
    assert "Traceback" not in ended.stderr
    assert "--attach" not in ended.stderr
