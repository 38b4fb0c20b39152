"""How the client ends: exit status, stdout and the lines that tell its user why."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from durabletask import task

from tests.conftest import NewTaskHub
from tests.processes import (
    NO_SCHEDULER,
    Finished,
    lines_of_trouble,
    needs_signals,
    run,
    running,
)
from tests.sample import Sample

if TYPE_CHECKING:
    from dts_emulator import Emulator

needs_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such streams")


@pytest.fixture(scope="module")
def scheduler(new_task_hub: NewTaskHub) -> dict[str, str]:
    """Give a scheduler with a worker only where a test asks for one."""
    return new_task_hub()


@pytest.fixture(scope="module")
def served(new_task_hub: NewTaskHub) -> Iterator[dict[str, str]]:
    """Give a scheduler where a worker runs."""
    scheduler = new_task_hub()
    with running("worker.py", **scheduler) as worker:
        worker.wait_for_line("Successfully connected")
        yield scheduler


def assert_ends(client: Finished, status: int, *words: str) -> str:
    """Check the status, and that only the last line of the log is an error, with these words."""
    assert client.status == status, client.stderr
    assert client.stdout == ""
    *_, error = lines = lines_of_trouble(client)
    assert sum(" ERROR: " in line for line in lines) == 1, client.stderr
    assert [word for word in words if word not in error] == [], error
    return error


def new_id() -> str:
    return f"test-{uuid.uuid4().hex}"


def test_a_failed_run_is_status_1_with_activity_item_and_error(sample: Sample) -> None:
    def process_work_item(_: task.ActivityContext, item: int) -> dict[str, int]:
        if item == 7:
            raise ValueError("no such item")
        return {"item": item, "result": item * item}

    sample.replaced["process_work_item"] = process_work_item
    client = run("client.py", ENDPOINT=sample.endpoint)
    assert_ends(client, 1, "process_work_item failed for 7: ValueError: no such item.")


@needs_posix
@pytest.mark.system
@pytest.mark.parametrize(
    ("redirection", "status", "words"),
    [
        ("| true; exit ${PIPESTATUS[0]}", 0, ""),
        (">/dev/full", 2, "Cannot write the result to stdout: No space left on device. The "),
    ],
)
def test_a_result_that_cannot_be_written_is_status_2_but_a_closed_pipe_is_quiet(
    served: dict[str, str], redirection: str, status: int, words: str
) -> None:
    command = f"{shlex.quote(sys.executable)} client.py 2 {redirection}"
    client = run("-c", command, executable="bash", **served)
    assert client.status == status, client.stderr
    assert len(lines_of_trouble(client)) == (1 if words else 0), client.stderr
    assert words in client.stderr


@pytest.mark.system
def test_without_a_worker_a_timeout_is_status_3_and_says_so(scheduler: dict[str, str]) -> None:
    instance_id = new_id()
    client = run("client.py", "--timeout", "0.5", "--instance-id", instance_id, **scheduler)
    attach = f"python client.py --attach {instance_id}"
    assert_ends(client, 3, "Still not completed after 0.5 s. No worker has taken it yet.", attach)


@pytest.mark.system
def test_with_a_worker_a_timeout_does_not_speak_of_workers_and_the_run_can_be_attached_to(
    served: dict[str, str],
) -> None:
    instance_id = new_id()
    first = run("client.py", "--timeout", "0.3", "--instance-id", instance_id, **served)
    assert "worker" not in assert_ends(first, 3, "Still not completed after 0.3 s.", "--attach")
    again = run("client.py", "--instance-id", instance_id, **served)
    assert_ends(again, 2, f"'{instance_id}' is in use", f"--attach {instance_id}")
    second = run("client.py", "--attach", instance_id, **served)
    assert second.status == 0
    assert second.stdout == '{"total_items": 10, "sum": 385, "average": 38.5}\n'


def test_without_a_scheduler_nothing_is_started_and_there_is_nothing_to_attach_to() -> None:
    client = run("client.py", "--timeout", "1", ENDPOINT=NO_SCHEDULER)
    assert "--attach" not in assert_ends(client, 4, "No scheduler answers", "Nothing was started.")
    first, _ = lines_of_trouble(client)
    assert f"No scheduler answers yet at {NO_SCHEDULER}" in first
    assert "Start the emulator ('dts-emulator' or 'docker compose up')" in first


def test_with_an_unknown_task_hub_nothing_is_started(emulator: Emulator) -> None:
    client = run("client.py", ENDPOINT=emulator.endpoint, TASKHUB="typo")
    error = assert_ends(client, 4, "Cannot use task hub 'typo'", "Nothing was started.")
    assert "--attach" not in error


@needs_signals
@pytest.mark.system
def test_ctrl_c_is_status_130_and_the_orchestration_continues(scheduler: dict[str, str]) -> None:
    instance_id = new_id()
    with running("client.py", "--instance-id", instance_id, **scheduler) as client:
        client.wait_for_line("Waiting for orchestration to complete...")
        client.send(signal.SIGINT)
        ended = client.finish()
    attach = f"python client.py --attach {instance_id}"
    assert_ends(ended, 130, "The orchestration continues.", attach)


@needs_signals
def test_ctrl_c_before_a_scheduler_answers_says_that_nothing_was_started() -> None:
    with running("client.py", ENDPOINT=NO_SCHEDULER) as client:
        client.wait_for_line("No scheduler answers yet")
        client.send(signal.SIGINT)
        assert_ends(client.finish(), 130, "Nothing was started.")
