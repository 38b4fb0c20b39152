"""Failures that are too long for anybody to read: their causes and their texts are cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from dts_emulator.engine.failures import MAX_CAUSES, MAX_TEXT, shorten
from tests.actions import completion
from tests.programs import end_of as sdk_end_of
from tests.programs import program_of
from tests.wire import Wire, wire_to


@pytest.fixture
def wire(emulator: Emulator) -> Iterator[Wire]:
    with wire_to(emulator) as wire:
        yield wire


@pytest.fixture
def items(wire: Wire) -> Iterator[Iterator[pb.WorkItem]]:
    with wire.working() as items:
        yield items


def chain_of(length: int) -> pb.TaskFailureDetails:
    details = pb.TaskFailureDetails(errorType="Root", errorMessage="where it began")
    for number in range(length - 1):
        outer = pb.TaskFailureDetails(errorType="Wrapper", errorMessage=str(number))
        outer.innerFailure.CopyFrom(details)
        details = outer
    return details


def types_in(details: pb.TaskFailureDetails) -> list[str]:
    types = [details.errorType]
    while details.HasField("innerFailure"):
        details = details.innerFailure
        types.append(details.errorType)
    return types


def test_a_long_chain_of_causes_is_cut_and_says_how_many_were_left_out(
    wire: Wire, items: Iterator[pb.WorkItem]
) -> None:
    wire.start("id")
    failed = pb.ORCHESTRATION_STATUS_FAILED
    wire.answer(next(items), completion(failed, failureDetails=chain_of(90)))
    details = wire.end("id").failureDetails
    assert types_in(details) == ["Wrapper"] * (MAX_CAUSES - 2) + ["CausesLeftOut", "Root"]
    for _ in range(MAX_CAUSES - 2):
        details = details.innerFailure
    assert details.errorMessage == f"{90 - (MAX_CAUSES - 1)} causes were left out here."


def test_a_chain_that_is_wrapped_and_cut_again_and_again_counts_them_all() -> None:
    details = chain_of(1)
    for _ in range(200):
        outer = pb.TaskFailureDetails(errorType="Wrapper")
        outer.innerFailure.CopyFrom(details)
        details = outer
        shorten(details)
    types = types_in(details)
    for _ in range(types.index("CausesLeftOut")):
        details = details.innerFailure
    assert details.errorMessage.split()[0] == str(201 - (len(types) - 1))


def test_a_failure_with_endless_words_is_shortened(
    wire: Wire, items: Iterator[pb.WorkItem]
) -> None:
    wire.start("id")
    details = pb.TaskFailureDetails(errorType="E", errorMessage="x" * 5_000_000)
    deep = details.properties["deep"]
    for _ in range(30):
        deep = deep.list_value.values.add()
    failed = pb.ORCHESTRATION_STATUS_FAILED
    wire.answer(next(items), completion(failed, failureDetails=details))
    kept = wire.end("id").failureDetails
    assert kept.errorMessage.endswith(f"({5_000_000 - MAX_TEXT:,} characters were left out)")
    assert not kept.properties


def test_sub_orchestrations_120_deep_pass_their_failure_up() -> None:
    def descend(ctx: task.OrchestrationContext, depth: int) -> Any:
        if depth == 0:
            raise RuntimeError("the bottom")
        yield ctx.call_sub_orchestrator(descend, input=depth - 1)

    with Emulator() as emulator, program_of(emulator, descend) as client:
        instance_id = client.schedule_new_orchestration(descend, input=120)
        state = sdk_end_of(client, instance_id)
        assert state.runtime_status is OrchestrationStatus.FAILED
        with wire_to(emulator) as wire:
            details = wire.state(instance_id).failureDetails
    assert len(types_in(details)) <= MAX_CAUSES
