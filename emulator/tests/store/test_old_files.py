"""A state file that an earlier version has written opens, and its runs continue."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.entities import DurableEntity, EntityInstanceId

from dts_emulator import Emulator
from tests.programs import new_client, output_of, program_of

WRITTEN = Path(__file__).with_name("written_by_0_1_0.sql")


def fan_out(ctx: task.OrchestrationContext, count: int) -> Any:
    squares = yield task.when_all([ctx.call_activity(square, input=n) for n in range(count)])
    return sum(squares)


def square(_: Any, number: int) -> int:
    return number * number


def half_done(ctx: task.OrchestrationContext, _: Any) -> Any:
    first = yield ctx.call_activity(square, input=3)
    second = yield ctx.call_activity(not_yet, input=first)
    return [first, second]


def not_yet(_: Any, number: int) -> int:
    return number + 1


def waiting(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.wait_for_external_event("go"))


def sleeping(ctx: task.OrchestrationContext, _: Any) -> Any:
    yield ctx.create_timer(ctx.current_utc_datetime)
    return "awake"


def parent(ctx: task.OrchestrationContext, _: Any) -> Any:
    return {"child": (yield ctx.call_sub_orchestrator(waiting, instance_id="child"))}


class counter(DurableEntity):  # noqa: N801
    def add(self, number: int) -> None:
        self.set_state(self.get_state(int, 0) + number)


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.executescript(WRITTEN.read_text(encoding="utf-8"))
    connection.close()
    return path


def test_ended_instances_and_entities_are_read(old_file: Path) -> None:
    with Emulator(db_file=old_file) as emulator, new_client(emulator) as client:
        assert output_of(client, "done") == 14
        stopped = client.get_orchestration_state("stopped")
        assert stopped is not None
        assert stopped.runtime_status is OrchestrationStatus.TERMINATED
        assert stopped.get_output() == "enough"
        entity = client.get_entity(EntityInstanceId("counter", "k"))
        assert entity is not None
        assert entity.get_state(int) == 41
        assert len(client.get_orchestration_history("done")) > 10


def test_pending_suspended_and_running_instances_continue_to_their_ends(old_file: Path) -> None:
    program: list[Callable[..., Any]] = [
        fan_out,
        square,
        half_done,
        not_yet,
        waiting,
        sleeping,
        parent,
        counter,
    ]
    with Emulator(db_file=old_file) as emulator, program_of(emulator, *program) as client:
        assert output_of(client, "pending") == 30
        assert output_of(client, "later") == 5
        assert output_of(client, "half-done") == [9, 10]
        assert output_of(client, "sleeping") == "awake"
        client.raise_orchestration_event("child", "go", data="now")
        assert output_of(client, "parent") == {"child": "now"}
        client.raise_orchestration_event("waiting", "go", data="resumed")
        client.resume_orchestration("waiting")
        assert output_of(client, "waiting") == "resumed"
