"""A damaged record of an entity hides no other one, and no run that needs it waits for ever."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask import task
from durabletask.client import EntityQuery, OrchestrationStatus, TaskHubGrpcClient
from durabletask.entities import EntityContext, EntityInstanceId
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from tests.parts import echo, echoing
from tests.programs import new_client, output_of, program_of
from tests.test_damaged_records import HUGE, page_of
from tests.wire import wire_to

BAD, WHOLE = EntityInstanceId("box", "bad"), EntityInstanceId("box", "whole")

DAMAGES = {
    "state": "state = x'ff'",
    "state that is not UTF-8": "state = CAST(x'ff' AS TEXT)",
    "time": "updated_at = 'soon'",
    "lock": "locked_by = x'ff'",
    "critical section": "critical_section = x'ff'",
    "huge queue_from": f"queue_from = {HUGE}",
    "negative queue_from": "queue_from = -1",
    "huge is_active": f"is_active = {HUGE}",
    "text as is_active": "is_active = 'many'",
}


def box(entity: EntityContext, value: Any) -> Any:
    entity.set_state(value)
    return value


def calling(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.call_entity(BAD, "set", 2))


def locking(ctx: task.OrchestrationContext, _: Any) -> Any:
    with (yield ctx.lock_entities([WHOLE, BAD])):
        return (yield ctx.call_entity(BAD, "set", 2))


@contextmanager
def program(path: Path) -> Iterator[tuple[Emulator, TaskHubGrpcClient]]:
    with (
        Emulator(db_file=path, dashboard_port=0) as emulator,
        program_of(emulator, box, calling, locking, echoing, echo) as client,
    ):
        yield emulator, client


# One of each kind, for tests whose worker takes a second to stop.
of_each_kind = pytest.mark.parametrize(
    "damaged", ["state", "time", "huge queue_from"], indirect=True
)


@pytest.fixture(params=DAMAGES)
def damaged(request: pytest.FixtureRequest, path: Path) -> Path:
    """Give a state file with two entities, of which one is damaged."""
    with Emulator(db_file=path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for entity_id in ("@box@bad", "@box@whole"):
            connection.execute(
                "INSERT INTO entities (hub, id, updated_at, is_active, queue_from, state) "
                "VALUES (1, ?, 0, 0, 0, '1')",
                (entity_id,),
            )
        statement = f"UPDATE entities SET {DAMAGES[request.param]} WHERE id = '@box@bad'"
        assert connection.execute(statement).rowcount == 1
    return path


@of_each_kind
def test_requests_for_it_are_refused_with_the_reason(damaged: Path) -> None:
    with program(damaged) as (emulator, client):
        for request in (
            lambda: client.get_entity(BAD),
            lambda: client.get_all_entities(EntityQuery()),
            lambda: client.signal_entity(BAD, "set", 2),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                request()
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "'@box@bad' cannot be read from the state file" in str(refused.value.details())
        assert client.get_entity(WHOLE) is not None
        client.schedule_new_orchestration(echoing, input="later", instance_id="later")
        assert output_of(client, "later") == "later"
        assert emulator.problem is None


def test_the_list_page_shows_the_others_and_names_it(damaged: Path) -> None:
    with Emulator(db_file=damaged, dashboard_port=0) as emulator, new_client(emulator):
        status, listed = page_of(emulator, "/taskhubs/default/entities")
        assert status == 200
        assert "/entities/%40box%40whole" in listed
        assert "/entities/%40box%40bad" in listed
        assert listed.count("damaged: ") == 1
        status, own = page_of(emulator, "/taskhubs/default/entities/@box@bad")
        assert (status, "cannot be read from the state file" in own) == (503, True)


@of_each_kind
@pytest.mark.parametrize("orchestrator", [calling, locking])
def test_a_run_that_needs_it_fails_with_the_reason_and_a_line_in_the_log(
    damaged: Path, orchestrator: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="emulator")
    with program(damaged) as (_, client):
        client.schedule_new_orchestration(orchestrator, instance_id="run")
        state = client.wait_for_orchestration_completion("run", timeout=30)
        assert state is not None
        assert state.runtime_status is OrchestrationStatus.FAILED
        assert state.failure_details is not None
        assert "cannot be read from the state file" in state.failure_details.message
        assert any("'@box@bad'" in record.getMessage() for record in caplog.records)
        whole = client.get_entity(WHOLE)
        assert whole is not None
        assert whole.get_locked_by() is None


@of_each_kind
def test_it_can_be_purged_and_used_again(damaged: Path) -> None:
    with program(damaged) as (emulator, client):
        with wire_to(emulator) as wire:
            answer = wire.call("PurgeInstances", pb.PurgeInstancesRequest(instanceId="@box@bad"))
        assert answer.deletedInstanceCount == 1
        client.schedule_new_orchestration(calling, instance_id="run")
        assert output_of(client, "run") == 2
