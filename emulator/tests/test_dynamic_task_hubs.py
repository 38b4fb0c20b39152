"""Task hubs that are created when a call first names them."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask import task
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from dts_emulator.hub.task_hubs import MAX_TASK_HUBS
from tests.programs import new_client, output_of, run, worker_of
from tests.wire import LIMIT, Wire


def greeting(ctx: task.OrchestrationContext, name: str) -> Any:
    return f"Hello, {name}!"
    yield


def sleeping(ctx: task.OrchestrationContext, days: int) -> Any:
    yield ctx.create_timer(timedelta(days=days))
    return "awake"


@pytest.fixture
def dynamic() -> Iterator[Emulator]:
    with Emulator(dynamic_task_hubs=True, dashboard_port=0) as emulator:
        yield emulator


@pytest.fixture
def channel(dynamic: Emulator) -> Iterator[grpc.Channel]:
    options = [("grpc.max_receive_message_length", LIMIT)]
    with grpc.insecure_channel(f"127.0.0.1:{dynamic.port}", options=options) as channel:
        yield channel


def hello(channel: grpc.Channel, task_hub: str) -> None:
    Wire(channel, task_hub).call("Hello", b"")


def refusal(channel: grpc.Channel, task_hub: str) -> tuple[grpc.StatusCode, str]:
    return Wire(channel, task_hub).refusal("Hello", b"")


def test_worker_and_client_meet_in_a_hub_that_nothing_has_named_before(dynamic: Emulator) -> None:
    with worker_of(dynamic, greeting, task_hub="new"), new_client(dynamic, "new") as client:
        assert run(client, greeting, input="you") == "Hello, you!"
    assert list(dynamic.hubs) == ["default", "new"]


def test_the_dashboard_lists_a_hub_from_its_first_call_on(
    dynamic: Emulator, channel: grpc.Channel
) -> None:
    def page(path: str) -> str:
        with urllib.request.urlopen(f"{dynamic.dashboard_url}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    assert 'href="/taskhubs/new"' not in page("/")
    hello(channel, "new")
    assert 'href="/taskhubs/new"' in page("/")
    Wire(channel, "new").call("StartInstance", pb.CreateInstanceRequest(name="o", instanceId="x"))
    assert json.loads(page("/taskhubs/new.json"))["instances"][0]["instance_id"] == "x"


def test_an_address_of_the_dashboard_creates_no_hub(dynamic: Emulator) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{dynamic.dashboard_url}/taskhubs/typed", timeout=10)
    assert list(dynamic.hubs) == ["default"]


@pytest.mark.parametrize("name", ["a/b", ".hidden", "x" * 65, "page.json", "a b"])
def test_an_invalid_name_creates_nothing(
    dynamic: Emulator, channel: grpc.Channel, name: str
) -> None:
    code, details = refusal(channel, name)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert f"task hub name '{name}'" in details
    assert list(dynamic.hubs) == ["default"]


def test_a_call_without_a_name_is_refused_without_the_hint(channel: grpc.Channel) -> None:
    code, details = refusal(channel, "")
    assert code is grpc.StatusCode.NOT_FOUND
    assert details == "The call names no task hub; this emulator has 'default'."


def test_the_101st_hub_is_refused_and_the_others_still_answer(
    dynamic: Emulator, channel: grpc.Channel
) -> None:
    for number in range(1, MAX_TASK_HUBS):
        hello(channel, f"hub-{number}")
    code, details = refusal(channel, "one-too-many")
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details == (
        "Task hub 'one-too-many' was not created: this emulator has 100 task hubs, "
        "and calls create hubs up to 100."
    )
    hello(channel, "hub-1")
    assert len(dynamic.hubs) == MAX_TASK_HUBS


def test_calls_that_name_a_new_hub_simultaneously_reach_the_same_one(
    dynamic: Emulator, channel: grpc.Channel
) -> None:
    def start(number: int) -> None:
        request = pb.CreateInstanceRequest(name="o", instanceId=f"{number}")
        Wire(channel, f"hub-{number % 4}").call("StartInstance", request)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(start, range(200)))
    assert sorted(dynamic.hubs) == ["default", "hub-0", "hub-1", "hub-2", "hub-3"]
    for number in range(4):
        with new_client(dynamic, f"hub-{number}") as client:
            assert len(client.get_all_orchestration_states()) == 50


def test_hubs_of_the_state_file_are_opened_again(path: Path) -> None:
    with (
        Emulator(dynamic_task_hubs=True, db_file=path) as emulator,
        new_client(emulator, "kept") as client,
    ):
        client.schedule_new_orchestration(greeting, input="you", instance_id="early")
    with Emulator(dynamic_task_hubs=True, db_file=path) as emulator:
        # Work that was under way resumes before any call names the hub.
        assert list(emulator.hubs) == ["default", "kept"]
        with worker_of(emulator, greeting, task_hub="kept"), new_client(emulator, "kept") as client:
            assert output_of(client, "early") == "Hello, you!"
    with Emulator(db_file=path) as emulator:
        assert list(emulator.hubs) == ["default"]


def test_more_hubs_in_the_state_file_than_calls_may_create_are_all_opened(path: Path) -> None:
    names = [f"hub-{number}" for number in range(MAX_TASK_HUBS + 5)]
    with Emulator(task_hubs=names, db_file=path):
        pass
    with Emulator(task_hubs=["hub-0"], dynamic_task_hubs=True, db_file=path) as emulator:
        assert list(emulator.hubs) == names


def test_a_hub_that_cannot_be_written_to_the_state_file_is_unavailable_until_it_can(
    path: Path,
) -> None:
    with (
        Emulator(dynamic_task_hubs=True, db_file=path) as emulator,
        grpc.insecure_channel(f"127.0.0.1:{emulator.port}") as channel,
    ):
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        code, details = refusal(channel, "new")
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "Task hub 'new' cannot be opened" in details
        other.execute("ROLLBACK")
        other.close()
        hello(channel, "new")


def test_a_state_file_that_was_removed_takes_no_new_hub(path: Path) -> None:
    with (
        Emulator(dynamic_task_hubs=True, db_file=path) as emulator,
        grpc.insecure_channel(f"127.0.0.1:{emulator.port}") as channel,
    ):
        path.unlink()
        code, details = refusal(channel, "new")
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "was moved, removed or replaced" in details
        assert not path.exists()
        assert list(emulator.hubs) == ["default"]


def test_time_is_skipped_in_hubs_that_calls_have_created() -> None:
    with (
        Emulator(dynamic_task_hubs=True, skip_time=True) as emulator,
        worker_of(emulator, sleeping, task_hub="new"),
        new_client(emulator, "new") as client,
    ):
        assert run(client, sleeping, input=30) == "awake"


def test_a_stopped_emulator_opens_no_hub() -> None:
    with Emulator(dynamic_task_hubs=True) as emulator:
        hubs = emulator.hubs
    with pytest.raises(Exception, match="stopping"):
        hubs.of_call("late")
