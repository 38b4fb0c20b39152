"""Turns with long histories: streamed to workers that can, failed in words where nothing can."""

from __future__ import annotations

from collections.abc import Iterator

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.events import string_value
from tests.caller import FAILED, Caller

STREAMING = pb.WORKER_CAPABILITY_HISTORY_STREAMING


def large_history(caller: Caller, work: Iterator[pb.WorkItem]) -> pb.WorkItem:
    """Give an instance a history of 2 MB, and return its next turn."""
    caller.start()
    for name in ("one", "two", "three"):
        caller.answer(next(work))
        event = pb.RaiseEventRequest(instanceId="id", name=name, input=string_value("x" * 700_000))
        caller.call("RaiseEvent", event)
    return next(work)


def test_a_worker_that_can_stream_fetches_a_long_history_by_itself(caller: Caller) -> None:
    item = large_history(caller, caller.work(capabilities=[STREAMING])).orchestratorRequest
    assert item.requiresHistoryStreaming
    assert not item.pastEvents
    request = pb.StreamInstanceHistoryRequest(
        instanceId="id", executionId=item.executionId, forWorkItemProcessing=True
    )
    past = [
        event for chunk in caller.call("StreamInstanceHistory", request) for event in chunk.events
    ]
    assert [event.eventRaised.name for event in past if event.HasField("eventRaised")] == [
        "one",
        "two",
    ]
    assert item.newEvents[-1].eventRaised.name == "three"


def test_a_worker_that_cannot_stream_gets_the_whole_history(caller: Caller) -> None:
    item = large_history(caller, caller.work()).orchestratorRequest
    assert not item.requiresHistoryStreaming
    assert sum(event.HasField("eventRaised") for event in item.pastEvents) == 2


def test_a_turn_without_the_history_that_it_needs_comes_again(caller: Caller) -> None:
    caller.start()
    work = caller.work()
    first = next(work)
    caller.answer(first, requiresHistory=True)
    again = next(work)
    assert again.completionToken != first.completionToken
    assert again.orchestratorRequest.newEvents == first.orchestratorRequest.newEvents


def test_a_turn_too_large_for_any_message_fails_the_orchestration(caller: Caller) -> None:
    caller.start()
    for _ in range(66):
        event = pb.RaiseEventRequest(
            instanceId="id", name="e", input=string_value("x" * 1024 * 1024)
        )
        caller.call("RaiseEvent", event)
    work = caller.work()
    caller.start("next")
    assert next(work).orchestratorRequest.instanceId == "next"
    state = caller.state()
    assert state.orchestrationStatus == FAILED
    assert "at most 67,108,864 bytes" in state.failureDetails.errorMessage
