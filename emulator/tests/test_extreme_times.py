"""Clients may name every time that the protocol has, wherever the state is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from dts_emulator import Emulator
from dts_emulator.engine.events import SECOND, nanoseconds
from dts_emulator.hub.skipping_clock import LATEST
from tests.actions import completion
from tests.wire import Wire, wire_to

ENTITY = "@e@k"
FIRST, LAST = -62_135_596_800, 253_402_300_799

# Year 1 (.NET's default), 1677, 1969, 2262 and 9999: around what 64 bits of nanoseconds hold.
TIMES = [
    Timestamp(seconds=FIRST),
    Timestamp(seconds=-9_223_372_037, nanos=145_224_191),
    Timestamp(seconds=-1, nanos=999_999_999),
    Timestamp(seconds=9_223_372_036, nanos=854_775_807),
    Timestamp(seconds=9_223_372_036, nanos=854_775_808),
    Timestamp(seconds=LAST, nanos=999_999_999),
]
NOW = Timestamp(seconds=1_700_000_000)


@pytest.fixture(params=["in memory", "in a file"])
def emulator(request: pytest.FixtureRequest, path: Path) -> Iterator[Emulator]:
    db_file = path if request.param == "in a file" else None
    with Emulator(db_file=db_file) as emulator:
        yield emulator


@pytest.fixture
def wire(emulator: Emulator) -> Iterator[Wire]:
    with wire_to(emulator) as wire:
        yield wire


def restart(emulator: Emulator) -> None:
    """Let an emulator that keeps its state start again."""
    if emulator.db_file is not None:
        emulator.stop()
        emulator.start()


def is_past(time: Timestamp) -> bool:
    return time.seconds < NOW.seconds


def test_a_start_for_any_time_is_found_again(emulator: Emulator, wire: Wire) -> None:
    for number, time in enumerate(TIMES):
        wire.start(str(number), scheduledStartTimestamp=time)
    restart(emulator)
    for number, time in enumerate(TIMES):
        assert wire.state(str(number)).scheduledStartTimestamp == time
    with wire.working() as items:
        wire.start("last")
        expected = {str(number) for number, time in enumerate(TIMES) if is_past(time)} | {"last"}
        assert {next(items).orchestratorRequest.instanceId for _ in expected} == expected


def test_a_signal_for_any_time_is_found_again(emulator: Emulator, wire: Wire) -> None:
    for number, time in enumerate(TIMES):
        entity = f"{ENTITY}{number}"
        request = pb.SignalEntityRequest(instanceId=entity, name="add", scheduledTime=time)
        wire.call("SignalEntity", request)
    restart(emulator)
    hub = emulator.hubs["default"]
    with hub.lock:
        kept = sorted((timer.due, timer.target) for timer in hub.store.timers())
    expected = [(nanoseconds(t), f"{ENTITY}{n}") for n, t in enumerate(TIMES) if not is_past(t)]
    assert kept == expected


def test_an_activity_that_was_scheduled_at_any_time_is_noted(
    emulator: Emulator, wire: Wire
) -> None:
    """A worker that rewinds an orchestration writes its history anew, times and all."""
    wire.start("i")
    with wire.working() as items:
        wire.answer(next(items), completion(pb.ORCHESTRATION_STATUS_FAILED))
        wire.call("RewindInstance", pb.RewindInstanceRequest(instanceId="i"))
        item = next(items)
        asked = [
            pb.HistoryEvent(eventId=number, timestamp=time, taskScheduled={"name": "a"})
            for number, time in enumerate(TIMES)
        ]
        history = [*item.orchestratorRequest.pastEvents[:-1], *asked]
        rewritten = pb.RewindOrchestrationAction(newHistory=history)
        wire.answer(item, pb.OrchestratorAction(id=1, rewindOrchestration=rewritten))
        wire.answer(next(items))
    if emulator.db_file is None:
        return  # Only after a start is what a history has open offered to workers.
    restart(emulator)
    with wire.working() as items:
        assert {next(items).activityRequest.taskId for _ in TIMES} == set(range(len(TIMES)))
    restart(emulator)
    hub = emulator.hubs["default"]
    with hub.lock:
        found = hub.store.instance("i")
        assert found is not None
        assert set(found.dispatch_times) == {(n, nanoseconds(time)) for n, time in enumerate(TIMES)}


def query(**fields: Any) -> tuple[str, Any]:
    return "QueryInstances", pb.QueryInstancesRequest(query=pb.InstanceQuery(**fields))


def id_list(**fields: Any) -> tuple[str, Any]:
    return "ListInstanceIds", pb.ListInstanceIdsRequest(**fields)


def entity_query(**fields: Any) -> tuple[str, Any]:
    return "QueryEntities", pb.QueryEntitiesRequest(query=pb.EntityQuery(**fields))


@pytest.mark.parametrize(
    ("ask", "name", "found_in"),
    [
        (query, "createdTime", "orchestrationState"),
        (id_list, "completedTime", "instanceIds"),
        (entity_query, "lastModified", "entities"),
    ],
)
def test_a_question_may_name_any_time(
    wire: Wire, ask: Callable[..., tuple[str, Any]], name: str, found_in: str
) -> None:
    make_ended_instance_and_entity(wire)
    for time in TIMES:
        since = wire.call(*ask(**{f"{name}From": time}))
        until = wire.call(*ask(**{f"{name}To": time}))
        assert len(getattr(since, found_in)) == is_past(time)
        assert len(getattr(until, found_in)) == (not is_past(time))


def make_ended_instance_and_entity(wire: Wire) -> None:
    wire.start("i")
    wire.call("TerminateInstance", pb.TerminateRequest(instanceId="i"))
    wire.call("SignalEntity", pb.SignalEntityRequest(instanceId=ENTITY, name="add"))
    with wire.working() as items:
        batch = pb.EntityBatchResult(
            completionToken=next(items).completionToken,
            results=[pb.OperationResult(success={})],
            entityState={"value": "1"},
        )
        wire.call("CompleteEntityTask", batch)


def test_pages_follow_one_another_where_64_bits_hold_no_time() -> None:
    with Emulator(skip_time=True) as emulator, wire_to(emulator) as wire:
        due = Timestamp(seconds=LATEST // SECOND - 1)
        request = pb.SignalEntityRequest(instanceId=ENTITY, name="add", scheduledTime=due)
        wire.call("SignalEntity", request)
        with wire.working() as items:
            next(items)
        for instance_id in ("a", "b"):
            wire.start(instance_id)
        first = wire.call(*query(maxInstanceCount=1))
        second = wire.call(*query(continuationToken=first.continuationToken))
        listed = [*first.orchestrationState, *second.orchestrationState]
        assert [one.instanceId for one in listed] == ["a", "b"]
