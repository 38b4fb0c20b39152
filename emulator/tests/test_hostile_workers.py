"""What a worker answers can stop neither its own orchestration for ever nor any other."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from dts_emulator import Emulator
from dts_emulator.dashboard.hub_adapter import HubAdapter
from dts_emulator.engine.events import string_value
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.hub.worker_api import Workers, worker_stream_from
from tests.processes import running, wait_until
from tests.wire import (
    Wire,
    answer,
    completed,
    end_of,
    response_to,
    start,
    wire_to,
    work_items_of,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NO_TIME = Timestamp(seconds=2**62, nanos=-5)


@pytest.fixture
def wire(emulator: Emulator) -> Iterator[Wire]:
    with wire_to(emulator) as wire:
        yield wire


@pytest.fixture
def items(wire: Wire) -> Iterator[Iterator[pb.WorkItem]]:
    with work_items_of(wire) as items:
        yield items


def assert_work_goes_on(wire: Wire, items: Iterator[pb.WorkItem]) -> None:
    """Check that the next item is the turn of a new orchestration, and that this can end."""
    start(wire, "next")
    item = next(items)
    assert item.orchestratorRequest.instanceId == "next"
    answer(wire, item, completed())
    assert end_of(wire, "next").orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED


def new_action(**kind: Any) -> pb.OrchestratorAction:
    return pb.OrchestratorAction(id=1, **kind)


def to_entity(**kind: Any) -> pb.OrchestratorAction:
    return new_action(sendEntityMessage=pb.SendEntityMessageAction(**kind))


TO_ITSELF = new_action(
    sendEvent=pb.SendEventAction(
        instance=pb.OrchestrationInstance(instanceId="id"), name="to myself"
    )
)
OF_A_TAKEN_ID = new_action(
    createSubOrchestration=pb.CreateSubOrchestrationAction(instanceId="id", name="o")
)


@pytest.mark.parametrize("action", [TO_ITSELF, OF_A_TAKEN_ID], ids=["an event", "a taken ID"])
def test_what_arrives_in_the_turn_that_ends_an_orchestration_makes_no_work(
    wire: Wire, items: Iterator[pb.WorkItem], action: pb.OrchestratorAction
) -> None:
    start(wire, "id")
    answer(wire, next(items), action, completed())
    assert end_of(wire, "id").orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED
    assert_work_goes_on(wire, items)


@pytest.mark.parametrize(
    "wrong",
    [
        {"instanceId": "another"},
        {"actions": [completed(orchestrationStatus=pb.ORCHESTRATION_STATUS_CANCELED)]},
        {"actions": [completed(orchestrationStatus=pb.ORCHESTRATION_STATUS_RUNNING)]},
        {"actions": [completed(orchestrationStatus=99)]},
    ],
    ids=["instance ID", "CANCELED", "RUNNING", "no status"],
)
def test_a_wrong_answer_to_a_turn_is_refused_and_the_right_one_still_counts(
    wire: Wire, items: Iterator[pb.WorkItem], wrong: dict[str, Any]
) -> None:
    start(wire, "id")
    item = next(items)
    refused = response_to(item)
    refused.MergeFrom(pb.OrchestratorResponse(**wrong))
    assert wire.refusal("CompleteOrchestratorTask", refused)[0] is INVALID
    answer(wire, item, completed(result=string_value("1")))
    assert end_of(wire, "id").output.value == "1"


@pytest.mark.parametrize("wrong", [{"instanceId": "another"}, {"taskId": 7}], ids=str)
def test_a_wrong_answer_of_an_activity_is_refused_and_the_right_one_still_counts(
    wire: Wire, items: Iterator[pb.WorkItem], wrong: dict[str, Any]
) -> None:
    start(wire, "id")
    answer(wire, next(items), new_action(scheduleTask=pb.ScheduleTaskAction(name="a")))
    token = next(items).completionToken
    right: dict[str, Any] = {"instanceId": "id", "taskId": 1, "completionToken": token}
    refused = pb.ActivityResponse(**(right | wrong))
    assert wire.refusal("CompleteActivityTask", refused)[0] is INVALID
    wire.call("CompleteActivityTask", pb.ActivityResponse(**right, result=string_value("2")))
    assert next(items).orchestratorRequest.newEvents[1].taskCompleted.result.value == "2"


def test_an_answer_of_another_kind_is_refused_and_the_right_one_still_counts(
    wire: Wire, items: Iterator[pb.WorkItem]
) -> None:
    start(wire, "id")
    item = next(items)
    as_activity = pb.ActivityResponse(instanceId="id", completionToken=item.completionToken)
    assert wire.refusal("CompleteActivityTask", as_activity)[0] is INVALID
    as_batch = pb.EntityBatchResult(completionToken=item.completionToken)
    assert wire.refusal("CompleteEntityTask", as_batch)[0] is INVALID
    answer(wire, item, completed())
    assert end_of(wire, "id").orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED


BAD_ACTIONS = {
    "a timer at no time": new_action(createTimer=pb.CreateTimerAction(fireAt=NO_TIME)),
    "a sub-orchestration without ID": new_action(
        createSubOrchestration=pb.CreateSubOrchestrationAction(name="o")
    ),
    "a signal to no entity": to_entity(
        entityOperationSignaled=pb.EntityOperationSignaledEvent(targetInstanceId=string_value("x"))
    ),
    "a signal at no time": to_entity(
        entityOperationSignaled=pb.EntityOperationSignaledEvent(
            targetInstanceId=string_value("@e@k"), scheduledTime=NO_TIME
        )
    ),
    "a lock of nothing": to_entity(
        entityLockRequested=pb.EntityLockRequestedEvent(criticalSectionId="s")
    ),
    "a place before the lock set": to_entity(
        entityLockRequested=pb.EntityLockRequestedEvent(
            criticalSectionId="s", lockSet=["@e@k"], position=-5
        )
    ),
    "a lock without an ID": to_entity(
        entityLockRequested=pb.EntityLockRequestedEvent(lockSet=["@e@k"])
    ),
    "an unlock without an ID": to_entity(
        entityUnlockSent=pb.EntityUnlockSentEvent(targetInstanceId=string_value("@e@k"))
    ),
    "an event that says nothing": completed(
        orchestrationStatus=pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW,
        carryoverEvents=[pb.HistoryEvent()],
    ),
    "an event of no time": completed(
        orchestrationStatus=pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW,
        carryoverEvents=[pb.HistoryEvent(timestamp=NO_TIME, timerFired=pb.TimerFiredEvent())],
    ),
    "a history without a start": new_action(
        rewindOrchestration=pb.RewindOrchestrationAction(newHistory=[])
    ),
}


@pytest.mark.parametrize("action", BAD_ACTIONS.values(), ids=BAD_ACTIONS.keys())
def test_an_orchestrator_that_asks_for_what_cannot_be_fails(
    emulator: Emulator, wire: Wire, items: Iterator[pb.WorkItem], action: pb.OrchestratorAction
) -> None:
    start(wire, "id")
    answer(wire, next(items), action)
    state = end_of(wire, "id")
    assert state.orchestrationStatus == pb.ORCHESTRATION_STATUS_FAILED
    assert state.failureDetails.errorType == "InvalidRequest"
    assert HubAdapter(emulator.hubs["default"]).instance("id") is not None
    assert_work_goes_on(wire, items)


def test_a_turn_that_took_nothing_cannot_leave_the_start_behind(
    wire: Wire, items: Iterator[pb.WorkItem]
) -> None:
    start(wire, "id")
    again = completed(orchestrationStatus=pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW)
    item = next(items)
    fields = pb.OrchestratorResponse()
    fields.numEventsProcessed.value = 0
    answer(wire, item, again, numEventsProcessed=fields.numEventsProcessed)
    events = next(items).orchestratorRequest.newEvents
    assert [event.WhichOneof("eventType") for event in events] == [
        "orchestratorStarted",
        "executionStarted",
    ]


def test_a_turn_too_large_for_any_message_fails_the_orchestration(
    wire: Wire, items: Iterator[pb.WorkItem]
) -> None:
    start(wire, "id")
    schedule = [
        pb.OrchestratorAction(id=n, scheduleTask=pb.ScheduleTaskAction(name="a")) for n in range(66)
    ]
    answer(wire, next(items), *schedule)
    given = [next(items) for _ in schedule]
    large = string_value('"' + "x" * (1024 * 1024 - 2) + '"')
    for item in given:
        result = pb.ActivityResponse(
            instanceId="id",
            taskId=item.activityRequest.taskId,
            completionToken=item.completionToken,
            result=large,
        )
        wire.call("CompleteActivityTask", result)
    # The first result has made a turn of its own; what has arrived meanwhile is the next one.
    answer(wire, next(items))
    state = end_of(wire, "id")
    assert state.failureDetails.errorType == "TurnTooLarge"
    assert "bytes" in state.failureDetails.errorMessage
    assert_work_goes_on(wire, items)


def test_an_answer_in_parts_without_an_end_fails_the_orchestration(
    wire: Wire, items: Iterator[pb.WorkItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dts_emulator.engine.turns.MAX_ANSWER_BYTES", 100_000)
    start(wire, "id")
    item = next(items)
    part = response_to(item, isPartial=True)
    part.customStatus.value = "x" * 10_000
    for number in range(20):
        part.chunkIndex.value = number
        wire.call("CompleteOrchestratorTask", part)
    assert end_of(wire, "id").failureDetails.errorType == "TurnTooLarge"


# Workers that go away


def test_a_worker_that_goes_away_before_it_is_connected_is_given_nothing() -> None:
    hub = TaskHub("hub")
    workers = Workers(hub)
    stream = worker_stream_from(pb.GetWorkItemsRequest())
    workers.disconnect(stream)
    assert list(workers.connect(stream)) == []
    assert hub.leases.streams == 0
    hub.close()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs a process that can be frozen")
@pytest.mark.slow
def test_the_work_of_a_frozen_worker_goes_to_another(emulator: Emulator) -> None:
    with (
        running("-m", "tests.fan_out_worker", ENDPOINT=emulator.endpoint) as frozen,
        wire_to(emulator) as wire,
    ):
        frozen.wait_for_line("Successfully connected")
        wait_until(lambda: emulator.hubs["default"].leases.streams == 1, "it has connected")
        frozen.send(signal.SIGSTOP)
        try:
            start(wire, "id", "fan_out", input=string_value("1"))
            begin = time.monotonic()
            with running("-m", "tests.fan_out_worker", ENDPOINT=emulator.endpoint):
                ended = end_of(wire, "id")
            seconds = time.monotonic() - begin
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        frozen.kill()
    assert ended.orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED
    # Found within 20, a grace of 5, an item of 2; the rest is for a busy machine.
    assert seconds < 55
