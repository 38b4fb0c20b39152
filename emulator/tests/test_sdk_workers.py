"""Programs written with the SDK behave as on the real scheduler: versions, filters, limits."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.entities import EntityInstanceId
from durabletask.worker import (
    ActivityWorkItemFilter,
    ConcurrencyOptions,
    EntityWorkItemFilter,
    OrchestrationWorkItemFilter,
    VersionFailureStrategy,
    VersioningOptions,
    VersionMatchStrategy,
    WorkItemFilters,
)

from dts_emulator import Emulator
from tests.processes import wait_until
from tests.programs import end_of, new_client, new_worker, output_of, program_of, run, worker_of


def which_version(ctx: task.OrchestrationContext, _: Any) -> Any:
    return ctx.version


def strict(version: str, failure: VersionFailureStrategy) -> VersioningOptions:
    return VersioningOptions(
        version=version, match_strategy=VersionMatchStrategy.STRICT, failure_strategy=failure
    )


def test_a_version_mismatch_can_fail_an_orchestration(emulator: Emulator) -> None:
    worker = new_worker(emulator, which_version)
    worker.use_versioning(strict("2.0", VersionFailureStrategy.FAIL))
    with worker, new_client(emulator) as client:
        worker.start()
        state = end_of(client, client.schedule_new_orchestration(which_version, version="1.0"))
    assert state.runtime_status is OrchestrationStatus.FAILED
    assert state.failure_details is not None
    assert state.failure_details.error_type == "VersionMismatch"


def test_a_version_mismatch_can_leave_an_orchestration_to_another_worker(
    emulator: Emulator,
) -> None:
    old, new = new_worker(emulator, which_version), new_worker(emulator, which_version)
    old.use_versioning(strict("1.0", VersionFailureStrategy.REJECT))
    new.use_versioning(strict("2.0", VersionFailureStrategy.REJECT))
    with old, new, new_client(emulator) as client:
        old.start()
        instance_id = client.schedule_new_orchestration(which_version, version="2.0")
        with pytest.raises(TimeoutError):
            client.wait_for_orchestration_completion(instance_id, timeout=0.5)
        new.start()
        assert output_of(client, instance_id) == "2.0"


def test_a_worker_that_rejects_an_orchestration_is_not_asked_without_a_pause(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = new_worker(emulator, which_version)
    worker.use_versioning(strict("1.0", VersionFailureStrategy.REJECT))
    hub = emulator.hubs["default"]
    abandoned = Counter[str]()
    abandon = hub.leases.abandon

    def counting(token: str, now: float) -> float | None:
        abandoned["times"] += 1
        return abandon(token, now)

    monkeypatch.setattr(hub.leases, "abandon", counting)
    with worker, new_client(emulator) as client:
        worker.start()
        client.schedule_new_orchestration(which_version, version="2.0")
        wait_until(lambda: abandoned["times"] >= 2, "the worker has refused twice")
        time.sleep(0.8)  # Less than the item rests.
    assert abandoned["times"] <= 4


def both(ctx: task.OrchestrationContext, _: Any) -> Any:
    left = yield ctx.call_activity("left")
    right = yield ctx.call_activity("right")
    return [left, right, (yield ctx.call_entity(EntityInstanceId("namer", "x"), "name"))]


def saying(word: str, name: str) -> Callable[..., Any]:
    """Return an activity, or the entity 'namer', of that name that returns `word`."""

    def activity(_: Any, __: Any) -> str:
        return word

    def entity(entity: Any, _: Any) -> str:
        return word

    function = entity if name == "namer" else activity
    function.__name__ = name
    return function


def test_filters_send_each_work_item_to_a_worker_that_wants_it(emulator: Emulator) -> None:
    first, second = (
        new_worker(emulator, both, *(saying(who, name) for name in ("left", "right", "namer")))
        for who in ("first", "second")
    )
    first.use_work_item_filters(
        WorkItemFilters(
            orchestrations=[OrchestrationWorkItemFilter("both")],
            activities=[ActivityWorkItemFilter("left")],
            entities=[],
        )
    )
    second.use_work_item_filters(
        WorkItemFilters(
            orchestrations=[],
            activities=[ActivityWorkItemFilter("right")],
            entities=[EntityWorkItemFilter("namer")],
        )
    )
    with first, second, new_client(emulator) as client:
        first.start()
        second.start()
        for _ in range(5):
            assert run(client, both) == ["first", "second", "second"]


def test_a_filter_by_version_leaves_other_versions_waiting(emulator: Emulator) -> None:
    worker = new_worker(emulator, which_version)
    wanted = [OrchestrationWorkItemFilter("which_version", versions=["2.0"])]
    worker.use_work_item_filters(WorkItemFilters(orchestrations=wanted))
    with worker, new_client(emulator) as client:
        worker.start()
        old = client.schedule_new_orchestration(which_version, version="1.0")
        assert run(client, which_version, version="2.0") == "2.0"
        with pytest.raises(TimeoutError):
            client.wait_for_orchestration_start(old, timeout=0.3)


def busy(_: Any, __: Any) -> None:
    with LOCK:
        LEVELS.append(LEVELS[-1] + 1)
    time.sleep(0.02)  # The work, which lets others begin theirs.
    with LOCK:
        LEVELS.append(LEVELS[-1] - 1)


LOCK = threading.Lock()
LEVELS = [0]


def many_busy(ctx: task.OrchestrationContext, count: int) -> Any:
    yield task.when_all([ctx.call_activity(busy) for _ in range(count)])


def test_a_worker_gets_no_more_activities_than_it_asks_for(emulator: Emulator) -> None:
    options = ConcurrencyOptions(
        maximum_concurrent_activity_work_items=3, maximum_thread_pool_workers=30
    )
    hub = emulator.hubs["default"]
    with (
        worker_of(emulator, many_busy, busy, concurrency_options=options),
        new_client(emulator) as client,
    ):
        instance_id = client.schedule_new_orchestration(many_busy, input=40)
        wait_until(lambda: hub.leases.waiting() > 20, "most activities wait at the hub")
        output_of(client, instance_id)
    assert max(LEVELS) == 3


def unspeakable(_: Any, __: Any) -> None:
    raise ValueError("half a character: \udc80")


def asking_for_it(ctx: task.OrchestrationContext, _: Any) -> Any:
    yield ctx.call_activity(unspeakable)


def test_an_item_that_workers_keep_abandoning_is_logged_once(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK abandons an item if it cannot send its error, and tells no client why."""
    caplog.set_level(logging.WARNING, logger="emulator")
    with program_of(emulator, asking_for_it, unspeakable) as client:
        client.schedule_new_orchestration(asking_for_it)
        wait_until(lambda: abandonments(emulator) > 5, "it was abandoned more than five times")
    assert [record.getMessage() for record in caplog.records] == [
        "Workers have abandoned the activity 'unspeakable' 5 times and get it again every second. "
        "See their logs: they may not accept its version, or cannot send its error."
    ]


def abandonments(emulator: Emulator) -> int:
    hub = emulator.hubs["default"]
    with hub.lock:
        return max((item.abandoned for item in hub.leases.items()), default=0)
