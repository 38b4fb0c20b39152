"""An emulator with --db-file, as real processes: killed, and started again."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from durabletask import task
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.entities import EntityInstanceId

from dts_emulator import Emulator
from tests.parts import GATES, RUNS, at_gate, echo, pass_gate, square, sum_of_squares
from tests.processes import wait_until
from tests.programs import (
    new_client,
    output_of,
    program_of,
    wait_for_status,
    worker_of,
)
from tests.sizes import sizes
from tests.state_files import client_of, emulator_of


def test_whatever_a_client_was_answered_outlives_a_kill(path: Path) -> None:
    with emulator_of(path) as program, client_of(program) as client:
        assert f"State      in {path}\n" in program.stdout
        for name in ("waits", "suspended", "terminated", "purged", "resumed"):
            client.schedule_new_orchestration("o", instance_id=name, input=1, tags={"a": "b"})
        client.raise_orchestration_event("waits", "go", data=5)
        client.suspend_orchestration("suspended")
        client.suspend_orchestration("resumed")
        client.resume_orchestration("resumed")
        client.terminate_orchestration("terminated", output="why")
        client.terminate_orchestration("purged")
        client.purge_orchestration("purged")
        restarted = client.restart_orchestration("terminated", restart_with_new_instance_id=True)
        client.signal_entity(EntityInstanceId("e", "k"), "add", input=1)
        program.kill()
    with Emulator(db_file=path) as emulator, new_client(emulator) as client:
        found = {state.instance_id for state in client.get_all_orchestration_states()}
        assert found == {"waits", "suspended", "terminated", "resumed", restarted}
        state = client.get_orchestration_state("terminated")
        assert state is not None
        assert (state.runtime_status, state.get_output(), state.get_input()) == (
            OrchestrationStatus.TERMINATED,
            "why",
            1,
        )
        hub = emulator.hubs["default"]
        with hub.lock:
            kinds = {
                name: [item.WhichOneof("eventType") for item in instance.inbox]
                for name in found
                if (instance := hub.store.instance(name)) is not None
            }
            entity = hub.store.entity("@e@k")
        assert kinds["waits"] == ["executionStarted", "eventRaised"]
        assert kinds["suspended"] == ["executionStarted", "executionSuspended"]
        assert kinds["resumed"][1:] == ["executionSuspended", "executionResumed"]
        assert entity is not None
        assert len(entity.queue) == 1


def sleeping(ctx: task.OrchestrationContext, milliseconds: int) -> Any:
    yield ctx.create_timer(timedelta(milliseconds=milliseconds))
    return "awake"


def parent(ctx: task.OrchestrationContext, gate: str) -> Any:
    return (yield ctx.call_sub_orchestrator(at_gate, instance_id=gate))


def adding(entity: Any, number: int) -> int:
    total: int = entity.get_state(int, 0) + number
    entity.set_state(total)
    return total


def leaving(ctx: task.OrchestrationContext, gate: str) -> Any:
    ctx.call_activity(echo_at_gate, input=gate)
    return "gone"
    yield


def echo_at_gate(_: Any, gate: str) -> str:
    return pass_gate(None, gate)


PROGRAM = (sleeping, parent, at_gate, pass_gate, adding, leaving, echo_at_gate)


def test_everything_goes_on_after_a_start_on_the_file(path: Path) -> None:
    counter, later = EntityInstanceId("adding", "now"), EntityInstanceId("adding", "later")
    soon = datetime.now(timezone.utc) + timedelta(seconds=2)
    with Emulator(db_file=path) as emulator, program_of(emulator, *PROGRAM) as client:
        client.schedule_new_orchestration(sleeping, input=2000, instance_id="sleeps")
        client.schedule_new_orchestration(sleeping, input=0, instance_id="soon", start_at=soon)
        client.schedule_new_orchestration(parent, input="gate", instance_id="parent")
        client.signal_entity(counter, "add", input=2)
        client.signal_entity(later, "add", input=3, signal_time=soon)
        wait_until(lambda: RUNS["gate"], "the activity runs")
        wait_until(lambda: client.get_entity(counter) is not None, "the entity has a state")
        wait_for_status(client, "sleeps", OrchestrationStatus.RUNNING)
        emulator.stop()
        GATES["gate"].set()
    with Emulator(db_file=path) as emulator, program_of(emulator, *PROGRAM) as client:
        assert output_of(client, "parent") == "gate"
        assert output_of(client, "sleeps") == "awake"
        assert output_of(client, "soon") == "awake"
        wait_until(lambda: client.get_entity(later) is not None, "the late signal has arrived")
        client.signal_entity(counter, "add", input=5)
        wait_until(lambda: state_of(client, counter) == 7, "the entity has kept its state")
        assert state_of(client, later) == 3
    assert RUNS["gate"] == 2


def state_of(client: TaskHubGrpcClient, entity: EntityInstanceId) -> Any:
    found = client.get_entity(entity)
    return json.loads(str(found.get_state())) if found is not None else None


def test_an_activity_that_nobody_waits_for_runs_after_a_start_on_the_file(path: Path) -> None:
    with Emulator(db_file=path) as emulator, program_of(emulator, *PROGRAM) as client:
        client.schedule_new_orchestration(leaving, input="left", instance_id="leaves")
        assert output_of(client, "leaves") == "gone"
        wait_until(lambda: RUNS["left"] == 1, "the activity runs")
        emulator.stop()
        GATES["left"].set()
    with Emulator(db_file=path) as emulator, worker_of(emulator, *PROGRAM):
        wait_until(lambda: RUNS["left"] == 2, "the activity runs again")
        hub = emulator.hubs["default"]
        wait_until(lambda: not list(hub.leases.items()), "it has been answered")
    with Emulator(db_file=path) as emulator:
        assert list(emulator.hubs["default"].leases.items()) == []


def test_task_hubs_share_a_file_without_meeting(path: Path) -> None:
    hubs = ["one", "two"]
    with Emulator(db_file=path, task_hubs=hubs) as emulator:
        for hub in hubs:
            with new_client(emulator, hub) as client:
                client.schedule_new_orchestration("o", instance_id="same", input=hub)
    with Emulator(db_file=path, task_hubs=["two", "three"]) as emulator:
        with new_client(emulator, "two") as client:
            state = client.get_orchestration_state("same")
            assert state is not None
            assert state.get_input() == "two"
        with new_client(emulator, "three") as client:
            assert client.get_orchestration_state("same") is None
    with Emulator(db_file=path, task_hubs=["one"]) as emulator, new_client(emulator, "one") as one:
        assert one.get_orchestration_state("same") is not None


def test_a_late_answer_to_an_emulator_that_is_gone_counts_for_nothing(path: Path) -> None:
    tokens = []
    for _ in range(2):
        with Emulator(db_file=path) as emulator, new_client(emulator) as client:
            client.schedule_new_orchestration("o")
            tokens += [item.token for item in emulator.hubs["default"].leases.items()]
    assert len(set(tokens)) == len(tokens) == 3


def test_what_has_ended_is_not_in_memory(path: Path) -> None:
    with (
        Emulator(db_file=path) as emulator,
        program_of(emulator, sum_of_squares, square, echo) as client,
    ):
        before = sizes(emulator.hubs["default"])
        for number in range(20):
            client.schedule_new_orchestration(sum_of_squares, input=3, instance_id=str(number))
        for number in range(20):
            assert output_of(client, str(number)) == 5
        hub = emulator.hubs["default"]
        wait_until(lambda: sizes(hub) == before, "all have left the memory")
        events = client.get_orchestration_history("7")
        assert [event.event_id for event in events].count(-1) > 3


def test_the_space_of_what_is_purged_is_used_again(path: Path) -> None:
    sizes = []
    with Emulator(db_file=path) as emulator, new_client(emulator) as client:
        for _ in range(4):
            for number in range(20):
                name = str(number)
                client.schedule_new_orchestration("o", instance_id=name, input="x" * 100_000)
                client.terminate_orchestration(name)
            client.purge_orchestrations_by()
            with closing(sqlite3.connect(path)) as connection:
                sizes.append(connection.execute("PRAGMA page_count").fetchone()[0])
    assert sizes[-1] < 1.5 * sizes[0]
