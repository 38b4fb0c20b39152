"""Turns with long histories: streamed to workers that can, failed in words where nothing can."""

from __future__ import annotations

from collections.abc import Iterator

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.events import string_value
from tests.wire import Wire

STREAMING = pb.WORKER_CAPABILITY_HISTORY_STREAMING


def large_history(wire: Wire, work: Iterator[pb.WorkItem]) -> pb.WorkItem:
    """Give an instance a history of 2 MB, and return its next turn."""
    wire.start()
    for name in ("one", "two", "three"):
        wire.answer(next(work))
        event = pb.RaiseEventRequest(instanceId="id", name=name, input=string_value("x" * 700_000))
        wire.call("RaiseEvent", event)
    return next(work)


def test_a_worker_that_can_stream_fetches_a_long_history_by_itself(wire: Wire) -> None:
    item = large_history(wire, wire.work(capabilities=[STREAMING])).orchestratorRequest
    assert item.requiresHistoryStreaming
    assert not item.pastEvents
    request = pb.StreamInstanceHistoryRequest(
        instanceId="id", executionId=item.executionId, forWorkItemProcessing=True
    )
    past = [
        event for chunk in wire.call("StreamInstanceHistory", request) for event in chunk.events
    ]
    assert [event.eventRaised.name for event in past if event.HasField("eventRaised")] == [
        "one",
        "two",
    ]
    assert item.newEvents[-1].eventRaised.name == "three"


def test_a_worker_that_cannot_stream_gets_the_whole_history(wire: Wire) -> None:
    item = large_history(wire, wire.work()).orchestratorRequest
    assert not item.requiresHistoryStreaming
    assert sum(event.HasField("eventRaised") for event in item.pastEvents) == 2


def test_a_turn_without_the_history_that_it_needs_comes_again(wire: Wire) -> None:
    wire.start()
    work = wire.work()
    first = next(work)
    wire.answer(first, requiresHistory=True)
    again = next(work)
    assert again.completionToken != first.completionToken
    assert again.orchestratorRequest.newEvents == first.orchestratorRequest.newEvents
