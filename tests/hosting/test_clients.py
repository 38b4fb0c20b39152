"""The client that programs use: what it retries, what it refuses, and what it says meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from scheduler import Scheduler

from dts_emulator import Emulator
from hosting.clients import Client
from hosting.exits import ClientError, Exit
from tests.hosting.test_errors import call_error

ATTACH = "python client.py --attach"


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    """Give a client of an emulator where no worker runs."""
    target = Scheduler(endpoint=emulator.endpoint)
    with Client(target, logging.getLogger("client"), 5, "worker.py", ATTACH) as client:
        yield client


def test_an_id_in_use_is_refused_with_the_way_to_wait_for_it(client: Client) -> None:
    assert client.schedule_new_orchestration("any", input=[], instance_id="mine") == "mine"
    with pytest.raises(ClientError, match=f"'mine' is in use.* {ATTACH} mine") as refused:
        client.schedule_new_orchestration("any", input=[], instance_id="mine")
    assert refused.value.status is Exit.USAGE


def test_a_start_whose_answer_an_outage_has_cut_is_one_start(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    schedule = client.sdk.schedule_new_orchestration
    outages = [call_error("UNAVAILABLE")]

    def schedule_in_an_outage(orchestrator: str, **arguments: Any) -> str:
        instance_id = schedule(orchestrator, **arguments)
        if outages:
            raise outages.pop()
        return instance_id

    monkeypatch.setattr(client.sdk, "schedule_new_orchestration", schedule_in_an_outage)
    assert client.schedule_new_orchestration("any", input=[], instance_id="mine") == "mine"
    assert len(client.sdk.get_all_orchestration_states()) == 1
    assert caplog.messages[0].startswith("No scheduler answers yet at http://")


def test_an_instance_that_is_gone_is_not_waited_for(client: Client) -> None:
    client.schedule_new_orchestration("any", input=[], instance_id="mine")
    client.sdk.terminate_orchestration("mine")
    client.sdk.wait_for_orchestration_completion("mine", timeout=5)
    client.sdk.purge_orchestration("mine")
    with pytest.raises(ClientError, match="no longer knows the orchestration 'mine'") as gone:
        client.wait_for_orchestration_completion("mine", timeout=5)
    assert gone.value.status is Exit.UNREACHABLE


def test_a_scheduler_that_refuses_is_not_asked_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = call_error("PERMISSION_DENIED")
    asked: list[str] = []

    def refuse(instance_id: str, **_: Any) -> None:
        asked.append(instance_id)
        raise error

    monkeypatch.setattr(client.sdk, "get_orchestration_state", refuse)
    with pytest.raises(type(error)):
        client.attach("mine")
    assert asked == ["mine"]


def test_the_user_hears_what_has_become_of_the_orchestration(client: Client) -> None:
    assert client.how_to_go_on() == "Nothing was started."
    client.schedule_new_orchestration("any", input=[], instance_id="mine")
    assert client.how_to_go_on() == (
        f"The orchestration goes on. To wait for it again: {ATTACH} mine"
    )
    client.terminate_orchestration("mine", output="no")
    assert client.how_to_go_on() == "The orchestration was terminated."
