"""The limit on payloads, found at any depth of a request."""

from __future__ import annotations

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.wrappers_pb2 import StringValue

from dts_emulator.hub.limits import oversized

LIMIT = 100
FITS = StringValue(value="x" * LIMIT)
TOO_LARGE = StringValue(value="x" * (LIMIT + 1))


def custom_status(payload: StringValue) -> pb.OrchestratorResponse:
    return pb.OrchestratorResponse(instanceId="i", customStatus=payload)


def activity_input(payload: StringValue) -> pb.OrchestratorResponse:
    action = pb.OrchestratorAction(scheduleTask=pb.ScheduleTaskAction(name="a", input=payload))
    return pb.OrchestratorResponse(actions=[pb.OrchestratorAction(), action])


PAYLOADS = {
    "input": lambda payload: pb.CreateInstanceRequest(name="o", input=payload),
    "output": lambda payload: pb.TerminateRequest(instanceId="i", output=payload),
    "result": lambda payload: pb.ActivityResponse(instanceId="i", result=payload),
    "entity state": lambda payload: pb.EntityBatchResult(entityState=payload),
    "custom status": custom_status,
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_an_oversized_payload_is_named_with_its_size_and_the_limit(name: str) -> None:
    assert oversized(PAYLOADS[name](FITS), LIMIT) is None
    assert oversized(PAYLOADS[name](TOO_LARGE), LIMIT) == (
        f"The {name} has 101 bytes; the limit is 100 bytes. Pass a reference instead."
    )


def test_a_payload_is_found_at_any_depth() -> None:
    assert oversized(activity_input(FITS), LIMIT) is None
    assert "input has 101 bytes" in str(oversized(activity_input(TOO_LARGE), LIMIT))


def test_zero_means_no_limit() -> None:
    assert oversized(activity_input(TOO_LARGE), 0) is None


def test_bytes_count_not_characters() -> None:
    assert "102 bytes" in str(oversized(custom_status(StringValue(value="é" * 51)), LIMIT))


def test_many_small_payloads_may_exceed_the_limit_together() -> None:
    actions = [
        pb.OrchestratorAction(scheduleTask=pb.ScheduleTaskAction(name="a", input=FITS))
        for _ in range(10)
    ]
    assert oversized(pb.OrchestratorResponse(actions=actions), LIMIT) is None


def test_tags_are_no_payloads() -> None:
    request = pb.CreateInstanceRequest(name="o", tags={"long": "x" * 1000})
    assert oversized(request, LIMIT) is None
