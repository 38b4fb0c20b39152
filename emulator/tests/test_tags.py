"""Tags: how large an orchestration's may be, whatever sets them; an activity's have no limit."""

from __future__ import annotations

import json
from collections.abc import Callable

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from dts_emulator.engine.errors import InvalidError
from dts_emulator.engine.tags import MAX_TAG_BYTES, check_tags, display_name, has_tag, listed_tags
from tests.wire import wire_to

# {"k":"..."} has eight bytes around the value.
LARGEST = {"k": "v" * (MAX_TAG_BYTES - 8)}
TOO_LARGE = {"k": "v" * (MAX_TAG_BYTES - 7)}
WORDS = "The tags have 1,001 bytes as JSON; the limit is 1,000 bytes."


@pytest.mark.parametrize(
    ("tags", "bytes_"),
    [
        ({}, 2),
        (LARGEST, MAX_TAG_BYTES),
        ({"k": "é" * 496}, MAX_TAG_BYTES),
        ({f"key-{n}": "value" for n in range(50)}, 841),
        ({"quoted": '"' * 400}, 813),
    ],
    ids=["none", "the largest", "two bytes each", "many", "escaped"],
)
def test_tags_of_up_to_1000_bytes_of_json_are_taken(tags: dict[str, str], bytes_: int) -> None:
    compact = json.dumps(tags, ensure_ascii=False, separators=(",", ":"))
    assert len(compact.encode()) == bytes_
    check_tags(tags)


@pytest.mark.parametrize(
    "tags",
    [TOO_LARGE, {"k": "é" * 497}, {"é" * 497: "k"}, {f"{n:03}": "v" * 8 for n in range(70)}],
    ids=["the value", "two bytes each", "the key", "all together"],
)
def test_larger_tags_are_refused(tags: dict[str, str]) -> None:
    with pytest.raises(InvalidError, match=r"The tags have 1,\d\d\d bytes as JSON"):
        check_tags(tags)


def test_a_start_with_too_large_tags_is_an_invalid_argument(emulator: Emulator) -> None:
    with wire_to(emulator) as wire:
        wire.start("fits", tags=LARGEST)
        assert wire.state("fits").tags == LARGEST
        request = pb.CreateInstanceRequest(instanceId="x", name="o", tags=TOO_LARGE)
        code, details = wire.refusal("StartInstance", request)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert details.startswith(WORDS)
        get = pb.GetInstanceRequest(instanceId="x")
        assert not wire.call("GetInstance", get).exists


def sub_orchestration(tags: dict[str, str]) -> pb.OrchestratorAction:
    created = pb.CreateSubOrchestrationAction(name="c", instanceId="child", tags=tags)
    return pb.OrchestratorAction(id=1, createSubOrchestration=created)


def new_execution(tags: dict[str, str]) -> pb.OrchestratorAction:
    ended = pb.CompleteOrchestrationAction(
        orchestrationStatus=pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW, tags=tags
    )
    return pb.OrchestratorAction(id=1, completeOrchestration=ended)


@pytest.mark.parametrize("action", [sub_orchestration, new_execution])
def test_an_orchestrator_that_asks_for_too_large_tags_fails_for_that(
    emulator: Emulator, action: Callable[[dict[str, str]], pb.OrchestratorAction]
) -> None:
    with wire_to(emulator) as wire, wire.working() as items:
        wire.start("fits")
        wire.answer(next(items), action(LARGEST))
        assert wire.state("fits").orchestrationStatus == pb.ORCHESTRATION_STATUS_RUNNING
        next(items)
        wire.start("id")
        wire.answer(next(items), action(TOO_LARGE))
        failure = wire.state("id").failureDetails
        assert failure.errorType == "InvalidRequest"
        assert failure.errorMessage.startswith(WORDS)


def test_tags_of_an_activity_may_be_larger_and_stay_in_the_history(emulator: Emulator) -> None:
    task = pb.ScheduleTaskAction(name="a", tags=TOO_LARGE)
    with wire_to(emulator) as wire, wire.working() as items:
        wire.start("id")
        wire.answer(next(items), pb.OrchestratorAction(id=1, scheduleTask=task))
        assert next(items).activityRequest.name == "a"
        request = pb.StreamInstanceHistoryRequest(instanceId="id")
        (chunk,) = wire.call("StreamInstanceHistory", request)
    (scheduled,) = (e.taskScheduled for e in chunk.events if e.HasField("taskScheduled"))
    assert scheduled.tags == TOO_LARGE


def test_an_empty_display_name_shows_the_registered_one() -> None:
    assert display_name({"durabletask.displayName": "Order 7"}, "order") == "Order 7"
    assert display_name({"durabletask.displayName": ""}, "order") == "order"
    assert display_name({}, "order") == "order"


def test_the_platforms_tags_are_not_listed() -> None:
    tags = {"durabletask.displayName": "x", "durabletask.other": "y", "durabletasks": "z"}
    assert listed_tags(tags) == {"durabletasks": "z"}


@pytest.mark.parametrize("wanted", ["team", "blue", "team=blue", "a=b", "rule=a=b"])
def test_a_tag_is_found_by_its_key_its_value_or_both(wanted: str) -> None:
    assert has_tag({"team": "blue", "rule": "a=b"}, wanted)
    assert not has_tag({"team": "red", "ru": "a"}, wanted) or wanted == "team"
