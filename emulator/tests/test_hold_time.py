"""Time that is held, so that a test can act before a limit, and moved forward by hand."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from durabletask import task

from dts_emulator import Emulator
from tests.parts import GATES, RUNS, pass_gate
from tests.processes import wait_until
from tests.programs import end_of, is_running, new_client, output_of, program_of

HOUR = timedelta(hours=1)


def approval(ctx: task.OrchestrationContext, _: Any) -> Any:
    approved = ctx.wait_for_external_event("approved")
    limit = ctx.create_timer(HOUR)
    return "approved" if (yield task.when_any([approved, limit])) is approved else "too late"


def chimes(ctx: task.OrchestrationContext, count: int) -> Any:
    """Strike after every 10 minutes, with work of a moment between."""
    for _ in range(count):
        yield ctx.create_timer(timedelta(minutes=10))
        yield ctx.call_activity(strike, input=ctx.current_utc_datetime.isoformat())
    return "struck"


STRUCK: list[str] = []


def strike(_: Any, moment: str) -> None:
    STRUCK.append(moment)


def limited(ctx: task.OrchestrationContext, gate: str) -> Any:
    work = ctx.call_activity(pass_gate, input=gate)
    limit = ctx.create_timer(HOUR)
    return "too slow" if (yield task.when_any([work, limit])) is limit else "in time"


def started(client: Any, *arguments: Any, **options: Any) -> str:
    """Schedule an orchestration and wait until its first turn is over."""
    instance_id: str = client.schedule_new_orchestration(*arguments, **options)
    client.wait_for_orchestration_start(instance_id, timeout=30)
    return instance_id


@pytest.fixture(autouse=True)
def nothing_struck() -> None:
    STRUCK.clear()


def test_an_approval_can_come_before_its_limit(skipping: Emulator) -> None:
    with program_of(skipping, approval) as client, skipping.hold_time():
        instance_id = started(client, approval)
        skipping.advance(timedelta(minutes=59))
        assert is_running(client, instance_id)
        client.raise_orchestration_event(instance_id, "approved")
        assert output_of(client, instance_id) == "approved"


def test_a_limit_is_over_once_the_clock_has_been_moved_to_it(skipping: Emulator) -> None:
    with program_of(skipping, approval) as client, skipping.hold_time():
        instance_id = started(client, approval)
        skipping.advance(HOUR)
        client.raise_orchestration_event(instance_id, "approved")
        assert output_of(client, instance_id) == "too late"


def test_held_time_is_skipped_again_after_the_block(skipping: Emulator) -> None:
    with program_of(skipping, approval) as client:
        with skipping.hold_time():
            with skipping.hold_time():
                instance_id = started(client, approval)
            # The inner block's end lets go of nothing.
            with pytest.raises(TimeoutError):
                client.wait_for_orchestration_completion(instance_id, timeout=1)
        assert output_of(client, instance_id) == "too late"


def test_an_error_in_the_block_ends_the_hold(skipping: Emulator) -> None:
    with program_of(skipping, approval) as client:
        with suppress(ZeroDivisionError), skipping.hold_time():
            instance_id = started(client, approval)
            raise ZeroDivisionError
        assert output_of(client, instance_id) == "too late"


def test_every_timer_on_the_way_fires_at_its_own_time(skipping: Emulator) -> None:
    with program_of(skipping, chimes, strike) as client, skipping.hold_time():
        instance_id = started(client, chimes, input=6)
        skipping.advance(timedelta(minutes=35))
        # Nothing needs to be waited for: advance returns when all is done.
        assert len(STRUCK) == 3
        moments = [datetime.fromisoformat(moment) for moment in STRUCK]
        assert timedelta(minutes=10) <= moments[1] - moments[0] < timedelta(minutes=11)
        assert timedelta(minutes=10) <= moments[2] - moments[1] < timedelta(minutes=11)
        assert is_running(client, instance_id)
        skipping.advance(timedelta(minutes=30))
        assert output_of(client, instance_id) == "struck"


def test_a_scheduled_start_comes_when_the_clock_reaches_it(skipping: Emulator) -> None:
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    with program_of(skipping, chimes, strike) as client, skipping.hold_time():
        instance_id = client.schedule_new_orchestration(chimes, input=0, start_at=tomorrow)
        skipping.advance(timedelta(hours=23))
        assert not STRUCK
        assert is_running(client, instance_id) is False
        skipping.advance(timedelta(hours=2))
        assert end_of(client, instance_id).serialized_output == '"struck"'


def test_the_clock_waits_for_an_activity_and_names_it(skipping: Emulator) -> None:
    with program_of(skipping, limited, pass_gate) as client, skipping.hold_time():
        instance_id = started(client, limited, input="slow")
        wait_until(lambda: RUNS["slow"], "the activity runs")
        with pytest.raises(TimeoutError, match="activity 'pass_gate'"):
            skipping.advance(HOUR, timeout=0.3)
        skipping.advance(HOUR, wait=False)
        assert output_of(client, instance_id) == "too slow"
        GATES["slow"].set()


def test_the_clock_waits_until_an_activity_is_done(skipping: Emulator) -> None:
    with program_of(skipping, limited, pass_gate) as client, skipping.hold_time():
        instance_id = started(client, limited, input="quick")
        wait_until(lambda: RUNS["quick"], "the activity runs")
        threading.Timer(0.3, GATES["quick"].set).start()
        skipping.advance(HOUR)
        assert output_of(client, instance_id) == "in time"


def test_without_a_worker_the_clock_says_what_waits(skipping: Emulator) -> None:
    with new_client(skipping) as client:
        client.schedule_new_orchestration(approval)
        with pytest.raises(TimeoutError, match="orchestrator 'approval'"):
            skipping.advance(HOUR, timeout=0.2)


def test_moving_the_clock_also_moves_what_is_not_held(skipping: Emulator) -> None:
    before = skipping.hubs["default"].now()
    skipping.advance(timedelta(days=3))
    assert skipping.hubs["default"].now() - before >= 3 * 86_400 * 10**9


@pytest.mark.parametrize("by", [timedelta(seconds=-1), timedelta.max])
def test_the_clock_goes_neither_back_nor_past_the_year_9999(
    skipping: Emulator, by: timedelta
) -> None:
    with pytest.raises(ValueError, match="cannot move"):
        skipping.advance(by)


def test_only_a_running_emulator_that_skips_time_can_be_held() -> None:
    stopped = Emulator(skip_time=True)
    with Emulator() as usual:
        for emulator in (usual, stopped):
            with pytest.raises(RuntimeError, match="skip_time=True"):
                emulator.advance(HOUR)
            with pytest.raises(RuntimeError, match="skip_time=True"), emulator.hold_time():
                pass


def test_an_emulator_that_stops_ends_the_wait_for_the_clock(skipping: Emulator) -> None:
    with new_client(skipping) as client:
        client.schedule_new_orchestration(approval)
    threading.Timer(0.2, skipping.stop).start()
    before = time.monotonic()
    with pytest.raises(RuntimeError, match="stopped"):
        skipping.advance(HOUR)
    assert time.monotonic() - before < 10
