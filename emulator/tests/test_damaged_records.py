"""A damaged record of an ended instance hides no other one, and stops no run that names it."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask import task
from durabletask.client import TaskHubGrpcClient
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from dts_emulator.engine import effects as fx
from dts_emulator.engine.errors import UnavailableError
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.store.memory import MemoryStore
from tests.parts import echo, echoing
from tests.programs import new_client, output_of, program_of

# What makes one record unreadable: its row, or the parts that belong to it.
DAMAGES = {
    "tags": "UPDATE instances SET tags = '{' WHERE id = 'child'",
    "list of tags": "UPDATE instances SET tags = '[]' WHERE id = 'child'",
    "number as a tag": """UPDATE instances SET tags = '{"a": 5}' WHERE id = 'child'""",
    "failure": "UPDATE instances SET failure = x'ff' WHERE id = 'child'",
    "summary": "UPDATE instances SET summary = '[]' WHERE id = 'child'",
    "status": "UPDATE instances SET status = 99 WHERE id = 'child'",
    "time": "UPDATE instances SET created_at = x'ff' WHERE id = 'child'",
    "name": "UPDATE instances SET name = x'ff' WHERE id = 'child'",
    "history": "UPDATE parts SET body = x'ff' "
    "WHERE owner = (SELECT number FROM instances WHERE id = 'child')",
    "dispatch times": "UPDATE parts SET body = x'ff' "
    "WHERE kind = 3 AND owner = (SELECT number FROM instances WHERE id = 'child')",
}


def parent(ctx: task.OrchestrationContext, _: Any) -> Any:
    own = ctx.call_activity(echo, input="own")
    child = ctx.call_sub_orchestrator(echoing, input="again", instance_id="child")
    return (yield task.when_all([own, child]))


@contextmanager
def program(path: Path) -> Iterator[tuple[Emulator, TaskHubGrpcClient]]:
    with (
        Emulator(db_file=path, dashboard_port=0) as emulator,
        program_of(emulator, parent, echoing, echo) as client,
    ):
        yield emulator, client


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a state file with two ended instances."""
    path = tmp_path_factory.mktemp("whole") / "dev.db"
    with program(path) as (_, client):
        for name in ("child", "whole"):
            client.schedule_new_orchestration(echoing, input=name, instance_id=name)
            assert output_of(client, name) == name
    return path


@pytest.fixture(params=DAMAGES)
def damaged(request: pytest.FixtureRequest, whole: Path, path: Path) -> Path:
    """Give a state file whose instance 'child' is damaged, and 'whole' is not."""
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(DAMAGES[request.param]).rowcount
    return path


def page_of(emulator: Emulator, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{emulator.dashboard_url}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_it_is_refused_with_the_reason_and_hides_no_other_until_a_run_replaces_it(
    damaged: Path,
) -> None:
    with program(damaged) as (emulator, client):
        with pytest.raises(grpc.RpcError) as refused:
            client.get_orchestration_state("child", fetch_payloads=True)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "state file" in str(refused.value.details())
        assert output_of(client, "whole") == "whole"
        status, listed = page_of(emulator, "/taskhubs/default")
        assert (status, "whole" in listed, "child" in listed) == (200, True, True)
        assert page_of(emulator, "/taskhubs/default?tag=a")[0] == 200
        status, own = page_of(emulator, "/taskhubs/default/instances/child")
        assert (status, "state file" in own) == (503, True)
        client.schedule_new_orchestration(parent, instance_id="parent")
        assert output_of(client, "parent") == ["own", "again"]
        assert output_of(client, "child") == "again"


def test_it_can_be_purged(damaged: Path) -> None:
    with Emulator(db_file=damaged) as emulator, new_client(emulator) as client:
        assert client.purge_orchestration("child").deleted_instance_count == 1
        assert client.get_orchestration_state("child") is None
        assert [one.instance_id for one in client.get_all_orchestration_states()] == ["whole"]


def test_the_list_page_shows_the_others_and_its_own_page_says_what_is_wrong(damaged: Path) -> None:
    with program(damaged) as (emulator, _):
        status, listed = page_of(emulator, "/taskhubs/default")
        assert status == 200
        assert "whole" in listed
        assert "child" in listed
        assert page_of(emulator, "/taskhubs/default?tag=a")[0] == 200
        status, own = page_of(emulator, "/taskhubs/default/instances/child")
        assert (status, "state file" in own) == (503, True)


@pytest.mark.parametrize(
    "damaged", sorted(DAMAGES.keys() - {"history", "dispatch times"}), indirect=True
)
def test_the_list_page_names_a_record_whose_row_is_damaged(damaged: Path) -> None:
    with Emulator(db_file=damaged, dashboard_port=0) as emulator:
        assert "damaged: " in page_of(emulator, "/taskhubs/default")[1]


class _BrokenStore(MemoryStore):
    """A store that cannot read the instance `broken`."""

    def instance(self, instance_id: str) -> Any:
        if instance_id == "broken":
            raise UnavailableError("The emulator cannot read its state file: it is malformed.")
        return super().instance(instance_id)


def test_an_effect_that_cannot_be_delivered_does_not_drop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = TaskHub("hub", store=_BrokenStore())
    other = pb.ExecutionStartedEvent(name="o")
    other.orchestrationInstance.instanceId = "other"
    caplog.set_level(logging.ERROR, logger="emulator")
    with hub.lock:
        hub.apply([fx.Terminate("broken", None, recurse=False), fx.StartDetached(other, None)])
        assert hub.store.instance("other") is not None
    assert [record.getMessage() for record in caplog.records] == [
        "Dropped Terminate because its target is unreadable: "
        "The emulator cannot read its state file: it is malformed."
    ]
    hub.close()
