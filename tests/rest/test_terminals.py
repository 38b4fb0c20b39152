"""What people see at a terminal, and programs in other languages in an output."""

from __future__ import annotations

import re
from typing import Any

import pytest
from durabletask import task
from durabletask.serialization import DataConverter

from tests.processes import Program, lines_of_trouble, run, running
from tests.rest.terminals import needs_terminal, run_on_terminal
from tests.sample import connect, working

pytestmark = pytest.mark.system


def counts_on(terminal: str, total: int) -> list[int]:
    """Return the numbers of finished items that a progress bar has shown, each once."""
    return list(dict.fromkeys(int(n) for n in re.findall(rf"(\d+)/{total} ", terminal)))


@needs_terminal
def test_on_a_terminal_a_progress_bar_counts_the_items(
    scheduler: dict[str, str], worker: Program
) -> None:
    stdout, terminal = run_on_terminal("client.py", "20", **scheduler)
    assert stdout == '{"total_items": 20, "sum": 2870, "average": 143.5}\n'
    assert len(counts_on(terminal, 20)) > 1


@needs_terminal
def test_a_large_run_is_counted_by_its_parts(scheduler: dict[str, str]) -> None:
    with running("worker.py", "--concurrency", "300", **scheduler):
        _, terminal = run_on_terminal("client.py", "2500", **scheduler)
    counts = counts_on(terminal, 2500)
    assert set(counts) <= {0, 833, 1666, 2500}
    assert len(counts) > 1


def test_piped_there_is_no_progress_bar(scheduler: dict[str, str], worker: Program) -> None:
    client = run("client.py", "3", **scheduler)
    assert "/3 " not in client.stderr
    assert "\r" not in client.stderr


def test_without_a_worker_the_client_asks_for_one_after_three_seconds(
    scheduler: dict[str, str],
) -> None:
    client = run("client.py", "--timeout", "5", **scheduler)
    question, _ = lines_of_trouble(client)
    assert question.endswith("No worker has taken it yet. Is one running, with this TASKHUB?")


def test_with_a_worker_the_client_does_not_ask_for_one(scheduler: dict[str, str]) -> None:
    with running("worker.py", "--concurrency", "1", **scheduler) as worker:
        worker.wait_for_line("Successfully connected")
        slow = run("client.py", "5", **scheduler)  # Takes longer than those three seconds.
    assert lines_of_trouble(slow) == []


class AsItIs(DataConverter):
    """Writes a text as it is, as programs in other languages may."""

    def serialize(self, value: Any) -> str | None:
        return None if value is None else str(value)

    def deserialize(self, data: str | None, target_type: type | None = None) -> Any:
        return data

    def coerce(self, value: Any, target_type: type | None = None) -> Any:
        return value


def speak(ctx: task.OrchestrationContext, _: Any) -> Any:
    yield ctx.create_timer(ctx.current_utc_datetime)
    return "plain 'words'"


def test_an_output_that_is_not_json_is_printed_as_a_json_string(scheduler: dict[str, str]) -> None:
    endpoint, task_hub = scheduler["ENDPOINT"], scheduler["TASKHUB"]
    with (
        connect(endpoint, task_hub) as client,
        working(endpoint, speak, task_hub=task_hub, data_converter=AsItIs()),
    ):
        instance_id = client.schedule_new_orchestration("speak")
        attached = run("client.py", "--attach", instance_id, **scheduler)
    assert attached.status == 0, attached.stderr
    assert attached.stdout == "\"plain 'words'\"\n"
