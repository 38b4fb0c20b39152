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
from dts_emulator.store.file import FileError, StateFile
from dts_emulator.store.memory import MemoryStore
from tests.parts import echo, echoing
from tests.programs import new_client, output_of, program_of

# What makes one record unreadable: its row, or the parts that belong to it.
HUGE = 2**63 - 1

ROW_DAMAGES = {
    **{
        f"{column} {value!r}": f"UPDATE instances SET {column} = {value} WHERE id = 'child'"
        for column in ("history_from", "inbox_from")
        for value in (HUGE, -1, "x'ff'", "'many'")
    },
    **{
        f"{column} {value!r}": f"UPDATE instances SET {column} = {value} WHERE id = 'child'"
        for column in ("parent_task", "is_due", "is_active")
        for value in (HUGE, "'many'")
    },
    "absurd start": f"UPDATE instances SET scheduled_start = x'{'7f' * 99}' WHERE id = 'child'",
    "late start": f"UPDATE instances SET starts_at = x'{'7f' * 16}' WHERE id = 'child'",
    "text as a start": "UPDATE instances SET starts_at = 'soon' WHERE id = 'child'",
    "running": "UPDATE instances SET status = 0 WHERE id = 'child'",
    "text that is not UTF-8": "UPDATE instances SET version = CAST(x'ff' AS TEXT) "
    "WHERE id = 'child'",
    "text as a number of the summary": "UPDATE instances SET summary = "
    "json_set(summary, '$.tally.first_at', 'soon') WHERE id = 'child'",
    "absurd time of the summary": "UPDATE instances SET summary = "
    f"""json_set(summary, '$.first_turn_at', json('{10**30}')) WHERE id = 'child'""",
}

DAMAGES = {
    "absurd number": f"UPDATE instances SET history_from = {HUGE} WHERE id = 'child'",
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
    "history_from beyond the history": "UPDATE instances SET history_from = 1000 "
    "WHERE id = 'child'",
    "number of a part": f"UPDATE parts SET until = {HUGE} WHERE row = (SELECT max(row) "
    "FROM parts WHERE kind = 0 AND owner = (SELECT number FROM instances WHERE id = 'child'))",
    "number of dispatch times": f"UPDATE parts SET until = {HUGE} WHERE row = (SELECT max(row) "
    "FROM parts WHERE kind = 3 AND owner = (SELECT number FROM instances WHERE id = 'child'))",
    "absurd dispatch times": f"UPDATE parts SET body = x'{'7f' * 32}' "
    "WHERE kind = 3 AND owner = (SELECT number FROM instances WHERE id = 'child')",
    "dispatch times": "UPDATE parts SET body = x'ff' "
    "WHERE kind = 3 AND owner = (SELECT number FROM instances WHERE id = 'child')",
}

# One of each kind, for tests whose worker takes a second to stop.
of_each_kind = pytest.mark.parametrize(
    "damaged", ["absurd number", "tags", "history", "dispatch times"], indirect=True
)

# A list does not read the parts of a record.
IN_PARTS = {
    "history",
    "history_from beyond the history",
    "number of a part",
    "number of dispatch times",
    "absurd dispatch times",
    "dispatch times",
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


@of_each_kind
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


@of_each_kind
def test_the_list_page_shows_the_others_and_its_own_page_says_what_is_wrong(damaged: Path) -> None:
    with program(damaged) as (emulator, _):
        status, listed = page_of(emulator, "/taskhubs/default")
        assert status == 200
        assert "whole" in listed
        assert "child" in listed
        assert page_of(emulator, "/taskhubs/default?tag=a")[0] == 200
        status, own = page_of(emulator, "/taskhubs/default/instances/child")
        assert (status, "state file" in own) == (503, True)


@pytest.mark.parametrize("damage", sorted((DAMAGES | ROW_DAMAGES).keys() - IN_PARTS))
def test_the_list_page_names_a_record_whose_row_is_damaged(
    whole: Path, path: Path, damage: str
) -> None:
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute((DAMAGES | ROW_DAMAGES)[damage]).rowcount == 1
    with Emulator(db_file=path, dashboard_port=0) as emulator, new_client(emulator):
        assert "damaged: " in page_of(emulator, "/taskhubs/default")[1]


@pytest.mark.parametrize("damaged", sorted({"absurd number", *IN_PARTS}), indirect=True)
def test_an_event_for_it_is_refused_and_saving_continues(damaged: Path) -> None:
    with program(damaged) as (emulator, client):
        for change in (
            lambda: client.raise_orchestration_event("child", "e"),
            lambda: client.terminate_orchestration("child"),
            lambda: client.restart_orchestration("child"),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                change()
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        client.schedule_new_orchestration(echoing, input="later", instance_id="later")
        assert output_of(client, "later") == "later"
        assert emulator.problem is None


@pytest.mark.parametrize("table", ["instances", "entities", "timers", "left_activities"])
def test_the_number_of_a_row_does_not_stop_saving(path: Path, table: str) -> None:
    StateFile(path).close()
    values = {
        "instances": "status, created_at, updated_at, completed_at, name, search, parent_task, "
        "execution_id, tags, is_due, is_active, history_from, inbox_from, id, number, hub) "
        f"VALUES (1, 0, 0, 0, 'o', 'o', 0, 'x', '{{}}', 0, 0, 0, 0, 'i', {HUGE}, 9)",
        "entities": "id, updated_at, is_active, queue_from, number, hub) "
        f"VALUES ('@e@k', 0, 0, 0, {HUGE}, 9)",
        "timers": f"due, target, event, number, hub) VALUES (0, '@e@k', x'', {HUGE}, 9)",
        "left_activities": "instance_id, version, event, number, hub) "
        f"VALUES ('i', '', x'', {HUGE}, 9)",
    }
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"INSERT INTO {table} ({values[table]}")
    with program(path) as (emulator, client):
        client.schedule_new_orchestration(echoing, input="new", instance_id="new")
        assert output_of(client, "new") == "new"
        assert emulator.problem is None


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("timers VALUES (7, 1, 'soon', '@e@k', x'')", "timer 7"),
        (f"timers VALUES (7, 1, x'{'7f' * 16}', '@e@k', x'')", "timer 7"),
        ("timers VALUES (7, 1, 0, x'ff', x'')", "timer 7"),
        ("timers VALUES (7, 1, 0, '@e@k', x'')", "timer 7"),
        ("left_activities VALUES (7, 1, x'ff', '', x'')", "orphaned activity 7"),
        ("left_activities VALUES (7, 1, 'i', '', x'')", "orphaned activity 7"),
    ],
)
def test_a_file_whose_pending_work_is_damaged_is_refused_by_name(
    path: Path, row: str, named: str
) -> None:
    with Emulator(db_file=path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"INSERT INTO {row}")
    with pytest.raises(FileError, match=f"is damaged: .*{named}"), Emulator(db_file=path):
        pass


def again(ctx: task.OrchestrationContext, _: Any) -> Any:
    yield ctx.call_sub_orchestrator(failing, instance_id="child")


def failing(ctx: task.OrchestrationContext, _: Any) -> Any:
    raise RuntimeError("no")


def test_a_run_that_is_rewound_fails_because_of_its_damaged_child(path: Path) -> None:
    with (
        Emulator(db_file=path) as emulator,
        program_of(emulator, again, failing) as client,
    ):
        client.schedule_new_orchestration(again, instance_id="parent")
        client.wait_for_orchestration_completion("parent", timeout=30)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE instances SET tags = '{' WHERE id = 'child'")
    with (
        Emulator(db_file=path) as emulator,
        program_of(emulator, again, failing) as client,
    ):
        client.rewind_orchestration("parent", reason="again")
        state = client.wait_for_orchestration_completion("parent", timeout=30)
        assert state is not None
        assert state.failure_details is not None
        assert "cannot be read from the state file" in state.failure_details.message


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
