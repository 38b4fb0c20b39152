"""What a worker answers can stop neither its own orchestration for ever nor any other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from dts_emulator import Emulator
from dts_emulator.dashboard.hub_adapter import HubAdapter
from dts_emulator.engine.events import string_value
from tests.actions import CONTINUED, completion
from tests.wire import Wire, response_to

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NO_TIME = Timestamp(seconds=2**62, nanos=-5)


def assert_work_goes_on(wire: Wire, items: Iterator[pb.WorkItem]) -> None:
    """Check that the next item is the turn of a new orchestration, and that this can end."""
    wire.start("next")
    item = next(items)
    assert item.orchestratorRequest.instanceId == "next"
    wire.answer(item, completion())
    assert wire.end("next").orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED


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
    wire.start("id")
    wire.answer(next(items), action, completion())
    assert wire.end("id").orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED
    assert_work_goes_on(wire, items)


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
    "an event that says nothing": completion(
        CONTINUED,
        carryoverEvents=[pb.HistoryEvent()],
    ),
    "an event of no time": completion(
        CONTINUED,
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
    wire.start("id")
    wire.answer(next(items), action)
    state = wire.end("id")
    assert state.orchestrationStatus == pb.ORCHESTRATION_STATUS_FAILED
    assert state.failureDetails.errorType == "InvalidRequest"
    assert HubAdapter(emulator.hubs["default"]).instance("id") is not None
    assert_work_goes_on(wire, items)


def test_a_turn_that_took_nothing_cannot_leave_the_start_behind(
    wire: Wire, items: Iterator[pb.WorkItem]
) -> None:
    wire.start("id")
    again = completion(CONTINUED)
    item = next(items)
    fields = pb.OrchestratorResponse()
    fields.numEventsProcessed.value = 0
    wire.answer(item, again, numEventsProcessed=fields.numEventsProcessed)
    events = next(items).orchestratorRequest.newEvents
    assert [event.WhichOneof("eventType") for event in events] == [
        "orchestratorStarted",
        "executionStarted",
    ]


def test_a_turn_too_large_for_any_message_fails_the_orchestration(wire: Wire) -> None:
    wire.start("id")
    for _ in range(66):
        large = string_value("x" * 1024 * 1024)
        wire.call("RaiseEvent", pb.RaiseEventRequest(instanceId="id", name="e", input=large))
    with wire.working() as items:
        assert_work_goes_on(wire, items)
    failure = wire.end("id").failureDetails
    assert failure.errorType == "TurnTooLarge"
    assert "at most 67,108,864 bytes" in failure.errorMessage


def test_an_answer_in_parts_without_an_end_fails_the_orchestration(
    wire: Wire, items: Iterator[pb.WorkItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dts_emulator.engine.turns.MAX_ANSWER_BYTES", 100_000)
    wire.start("id")
    item = next(items)
    part = response_to(item, isPartial=True)
    part.customStatus.value = "x" * 10_000
    for number in range(20):
        part.chunkIndex.value = number
        wire.call("CompleteOrchestratorTask", part)
    assert wire.end("id").failureDetails.errorType == "TurnTooLarge"
