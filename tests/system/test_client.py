"""How the client ends: exit status, stdout and what it tells its user."""

from __future__ import annotations

import re
import signal
import uuid

import pytest

from tests.processes import (
    Finished,
    Program,
    needs_signals,
    run,
    running,
)
from tests.terminals import needs_terminal, run_on_terminal

pytestmark = pytest.mark.system

NOBODY_LISTENS = "http://127.0.0.1:9"


def assert_says(client: Finished, status: int, *words: str) -> None:
    """Check the status, and that the last one or two lines on stderr hold the words."""
    problem = [line for line in client.stderr.splitlines() if " INFO: " not in line]
    assert client.status == status, client.stderr
    assert client.stdout == ""
    assert 1 <= len(problem) <= 2, client.stderr
    for word in words:
        assert word in " ".join(problem)


def new_id() -> str:
    return f"test-{uuid.uuid4().hex}"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"TASKHUB": ""}, "TASKHUB is set but empty"),
        ({"ENDPOINT": ""}, "ENDPOINT is set but empty"),
        ({"TASKHUB": "h\u00fcb"}, "TASKHUB holds a character that no task hub's name has"),
        ({"TASKHUB": "hub\n2026 client INFO: forged"}, "TASKHUB holds a character"),
        ({"ENDPOINT": "localhost:8080"}, "must begin with http://"),
        ({"ENDPOINT": "ftp://x"}, "must begin with http://"),
    ],
)
@pytest.mark.parametrize("program", ["client.py", "worker.py"])
def test_a_wrong_variable_is_one_line_and_status_2(
    program: str, variables: dict[str, str], words: str
) -> None:
    assert_says(run(program, **variables), 2, words)


def test_a_scheduler_that_does_not_run_is_status_4() -> None:
    client = run("client.py", "--timeout", "1", ENDPOINT=NOBODY_LISTENS)
    assert_says(client, 4, "No scheduler answers", "python -m emulator")


def test_an_unknown_task_hub_is_status_4(scheduler: dict[str, str]) -> None:
    client = run("client.py", **{**scheduler, "TASKHUB": "no-such-hub"})
    assert_says(client, 4, "no-such-hub")


def test_without_a_worker_the_client_times_out_with_status_3(scheduler: dict[str, str]) -> None:
    instance_id = new_id()
    client = run("client.py", "--timeout", "1", "--instance-id", instance_id, **scheduler)
    assert_says(client, 3, "still running", f"python client.py --attach {instance_id}")


def test_an_orchestration_that_timed_out_can_be_attached_to(
    scheduler: dict[str, str], worker: Program
) -> None:
    instance_id = new_id()
    first = run("client.py", "--timeout", "0.2", "--instance-id", instance_id, **scheduler)
    assert first.status == 3
    second = run("client.py", "--attach", instance_id, **scheduler)
    assert second.status == 0
    assert second.stdout == '{"total_items": 10, "sum": 385, "average": 38.5}\n'


def test_an_unknown_id_cannot_be_attached_to(scheduler: dict[str, str]) -> None:
    assert_says(run("client.py", "--attach", "nobody", **scheduler), 2, "'nobody'")


def test_an_id_in_use_is_not_used_again(scheduler: dict[str, str]) -> None:
    instance_id = new_id()
    run("client.py", "--timeout", "0.2", "--instance-id", instance_id, **scheduler)
    again = run("client.py", "--instance-id", instance_id, **scheduler)
    assert_says(again, 2, f"'{instance_id}' is in use", "--attach")


@needs_signals
def test_ctrl_c_leaves_the_orchestration_running_with_status_130(
    scheduler: dict[str, str],
) -> None:
    instance_id = new_id()
    with running("client.py", "--instance-id", instance_id, **scheduler) as client:
        client.wait_for_line("Waiting for orchestration to complete...")
        client.send(signal.SIGINT)
        assert_says(client.finish(), 130, "goes on", f"python client.py --attach {instance_id}")


@needs_signals
def test_ctrl_c_while_no_scheduler_answers_says_that_nothing_was_started() -> None:
    with running("client.py", ENDPOINT=NOBODY_LISTENS) as client:
        client.wait_for_line("No scheduler answers yet")
        client.send(signal.SIGINT)
        assert_says(client.finish(), 130, "Nothing was started")


def test_a_scheduler_that_is_still_starting_is_waited_for(free_port: int) -> None:
    endpoint = f"http://127.0.0.1:{free_port}"
    with running("client.py", "1", ENDPOINT=endpoint) as client:
        client.wait_for_line("No scheduler answers yet")
        emulator = ("-m", "dts_emulator", "--port", str(free_port), "--dashboard-port", "0")
        with running(*emulator), running("worker.py", ENDPOINT=endpoint):
            assert client.finish().stdout == '{"total_items": 1, "sum": 1, "average": 1.0}\n'


def counts_on(terminal: str, total: int) -> list[int]:
    """Return the numbers of finished items that a progress bar has shown, each once."""
    return list(dict.fromkeys(int(n) for n in re.findall(rf"(\d+)/{total} ", terminal)))


@needs_terminal
def test_on_a_terminal_a_progress_bar_counts_the_items(
    scheduler: dict[str, str], worker: Program
) -> None:
    stdout, terminal = run_on_terminal("client.py", "20", **scheduler)
    assert stdout == '{"total_items": 20, "sum": 2870, "average": 143.5}\n'
    assert counts_on(terminal, 20)[0] == 0  # The total is known before the first item.
    assert len(counts_on(terminal, 20)) > 1


@needs_terminal
def test_the_items_of_a_fan_out_in_parts_are_counted_one_by_one(
    scheduler: dict[str, str],
) -> None:
    with running("worker.py", "--concurrency", "300", **scheduler):
        _, terminal = run_on_terminal("client.py", "1500", **scheduler)
    between = [count for count in counts_on(terminal, 1500) if count % 500]
    assert len(between) > 2


def test_piped_there_is_no_progress_bar(scheduler: dict[str, str], worker: Program) -> None:
    client = run("client.py", "3", **scheduler)
    assert "/3 " not in client.stderr
    assert "\r" not in client.stderr
