"""A clock that skips the hours in which a test would only wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from durabletask import history, task
from durabletask.client import OrchestrationStatus
from durabletask.entities import EntityInstanceId
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from dts_emulator import Emulator
from dts_emulator.engine.events import LAST_SECOND, SECOND
from dts_emulator.hub.skipping_clock import LATEST
from tests.parts import GATES, RUNS, fail_once, pass_gate
from tests.processes import wait_until
from tests.programs import new_client, output_of, program_of, worker_of
from tests.wire import wire_to

# What a test that does skip time stays below by far, and one that does not never reaches.
LIMIT_SECONDS = 30


@pytest.fixture(autouse=True)
def soon_over() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < LIMIT_SECONDS


def sleeping(ctx: task.OrchestrationContext, days: int) -> Any:
    before = ctx.current_utc_datetime
    yield ctx.create_timer(timedelta(days=days))
    return (ctx.current_utc_datetime - before).days


def racing(ctx: task.OrchestrationContext, gate: str) -> Any:
    work = ctx.call_activity(pass_gate, input=gate)
    timer = ctx.create_timer(timedelta(days=1))
    return "work" if (yield task.when_any([work, timer])) is work else "timer"


def test_a_timer_of_30_days_is_over_at_once(skipping: Emulator) -> None:
    with program_of(skipping, sleeping) as client:
        instance_id = client.schedule_new_orchestration(sleeping, input=30)
        assert output_of(client, instance_id) == 30
        events = client.get_orchestration_history(instance_id)
        turns = [e.timestamp for e in events if isinstance(e, history.OrchestratorStartedEvent)]
        assert turns == sorted(turns)
        assert turns[-1] - turns[0] > timedelta(days=30)


def test_a_timer_never_overtakes_an_activity_that_runs(skipping: Emulator) -> None:
    with program_of(skipping, racing, pass_gate) as client:
        instance_id = client.schedule_new_orchestration(racing, input="race")
        wait_until(lambda: RUNS["race"], "the activity runs")
        threading.Timer(0.3, GATES["race"].set).start()
        assert output_of(client, instance_id) == "work"


def test_a_timer_never_overtakes_what_no_worker_has_taken_yet(skipping: Emulator) -> None:
    hub = skipping.hubs["default"]
    with new_client(skipping) as client:
        client.schedule_new_orchestration(sleeping, input=1)
        week = datetime.now(timezone.utc) + timedelta(days=7)
        client.schedule_new_orchestration(sleeping, input=1, start_at=week)
        with pytest.raises(TimeoutError):
            client.wait_for_orchestration_completion("nobody", timeout=1)
    assert hub.now() < time.time_ns() + timedelta(hours=1).total_seconds() * 1e9


def test_a_timer_of_one_task_hub_does_not_overtake_the_work_of_another(
    skipping: Emulator,
) -> None:
    with (
        program_of(skipping, racing, pass_gate) as client,
        worker_of(skipping, sleeping, task_hub="other"),
        new_client(skipping, "other") as other,
    ):
        working = client.schedule_new_orchestration(racing, input="hubs")
        wait_until(lambda: RUNS["hubs"], "the activity runs")
        sleeper = other.schedule_new_orchestration(sleeping, input=30)
        wait_until(lambda: len(skipping.hubs["other"].timers) == 1, "the timer is set")
        with pytest.raises(TimeoutError):
            other.wait_for_orchestration_completion(sleeper, timeout=1)
        GATES["hubs"].set()
        assert output_of(client, working) == "work"
        assert output_of(other, sleeper) == 30


def test_without_skip_time_a_timer_takes_its_time() -> None:
    with Emulator() as emulator, program_of(emulator, sleeping, fail_once) as client:
        instance_id = client.schedule_new_orchestration(sleeping, input=30)
        with pytest.raises(TimeoutError):
            client.wait_for_orchestration_completion(instance_id, timeout=1)


def test_skip_time_goes_with_memory_alone() -> None:
    with pytest.raises(ValueError, match="omit db_file"):
        Emulator(skip_time=True, db_file="dev.db")


@pytest.mark.parametrize(
    "seconds", [LAST_SECOND, LATEST // SECOND + 1], ids=["the last second", "the last year"]
)
def test_a_timer_that_the_protocol_cannot_outlive_stays_unfired_and_others_fire(
    skipping: Emulator, seconds: int
) -> None:
    with wire_to(skipping) as wire, wire.working() as work:
        wire.start("endless")
        never = pb.CreateTimerAction(fireAt=Timestamp(seconds=seconds, nanos=999_999_999))
        wire.answer(next(work), pb.OrchestratorAction(id=1, createTimer=never))
    with program_of(skipping, sleeping) as client:
        assert output_of(client, client.schedule_new_orchestration(sleeping, input=2)) == 2
        state = client.get_orchestration_state("endless")
        assert state is not None
        assert state.runtime_status is OrchestrationStatus.RUNNING
        assert state.last_updated_at.year < 2100


def test_a_signal_for_the_end_of_time_lets_others_come_when_they_are_due(
    skipping: Emulator,
) -> None:
    hub = skipping.hubs["default"]
    with new_client(skipping) as client:
        entity = EntityInstanceId("counter", "k")
        last = datetime.max.replace(tzinfo=timezone.utc)
        client.signal_entity(entity, "add", 1, signal_time=last)
        before = hub.now()
        client.signal_entity(
            entity, "add", 1, signal_time=datetime.now(timezone.utc) + timedelta(hours=5)
        )
        wait_until(lambda: hub.now() - before > 4 * 3600 * SECOND, "the clock has skipped hours")
        assert hub.now() < LATEST
