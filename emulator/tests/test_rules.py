"""The service's rules as a worker or client of any language meets them, call by call."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from dts_emulator import Emulator
from dts_emulator.engine.events import string_value
from dts_emulator.store import Filter
from tests.actions import COMPLETED, activity, child, completion
from tests.wire import METHODS, Wire

# What is refused, with INVALID_ARGUMENT if nothing else is said

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
DEADLINE = grpc.StatusCode.DEADLINE_EXCEEDED
NO_TIME = Timestamp(seconds=2**62, nanos=-5)
BEFORE_TIME = Timestamp(seconds=-70_000_000_000)


def new(**fields: Any) -> pb.CreateInstanceRequest:
    return pb.CreateInstanceRequest(name="o", **fields)


def signal(instance_id: str, **fields: Any) -> pb.SignalEntityRequest:
    return pb.SignalEntityRequest(instanceId=instance_id, name="add", **fields)


def id_list(**fields: Any) -> pb.ListInstanceIdsRequest:
    return pb.ListInstanceIdsRequest(**fields)


def query(**fields: Any) -> pb.QueryInstancesRequest:
    return pb.QueryInstancesRequest(query=fields)


REFUSED: list[tuple[str, Any]] = [
    ("StartInstance", new(instanceId="x" * 101)),
    ("StartInstance", new(instanceId="@e@k")),
    ("StartInstance", new(scheduledStartTimestamp=NO_TIME)),
    ("StartInstance", new(scheduledStartTimestamp=BEFORE_TIME)),
    ("SignalEntity", signal("x")),
    ("SignalEntity", signal("@")),
    ("SignalEntity", signal("@e")),
    ("SignalEntity", signal("@e@k\n")),
    ("SignalEntity", signal("@e@k", scheduledTime=NO_TIME)),
    ("QueryInstances", query(createdTimeFrom=NO_TIME)),
    ("QueryInstances", query(continuationToken=string_value("?"))),
    ("QueryInstances", query(continuationToken=string_value("9" * 5000))),
    *(
        ("QueryInstances", query(continuationToken=string_value(f"{wrong}|x")))
        for wrong in ("1" * 22, "-1", "1.5", "x")
    ),
    ("QueryEntities", pb.QueryEntitiesRequest(query={"lastModifiedTo": NO_TIME})),
    ("ListInstanceIds", id_list(completedTimeFrom=NO_TIME)),
    ("ListInstanceIds", id_list(lastInstanceKey=string_value("yesterday|x"))),
    ("ListInstanceIds", id_list(lastInstanceKey=string_value("٣|x"))),
    ("ListInstanceIds", id_list(lastInstanceKey=string_value("9" * 30 + "|x"))),
    ("PurgeInstances", pb.PurgeInstancesRequest(purgeInstanceFilter={"createdTimeTo": NO_TIME})),
    ("PurgeInstances", pb.PurgeInstancesRequest(instanceBatch={"instanceIds": ["x"] * 501})),
]
UNKNOWN: list[tuple[str, Any]] = [
    ("RaiseEvent", pb.RaiseEventRequest(instanceId="nobody", name="go")),
    ("SuspendInstance", pb.SuspendRequest(instanceId="nobody")),
    ("TerminateInstance", pb.TerminateRequest(instanceId="x" * 1_000_000)),
]
MADE_ELSEWHERE: list[tuple[str, Any]] = [
    ("CreateTaskHub", pb.CreateTaskHubRequest()),
    ("DeleteTaskHub", pb.DeleteTaskHubRequest()),
]


@pytest.mark.parametrize(
    ("name", "request_", "expected"),
    [
        *((*call, INVALID) for call in REFUSED),
        *((*call, NOT_FOUND) for call in UNKNOWN),
        *((*call, grpc.StatusCode.UNIMPLEMENTED) for call in MADE_ELSEWHERE),
    ],
)
def test_a_call_that_is_refused_says_why_in_short_and_changes_nothing(
    emulator: Emulator, wire: Wire, name: str, request_: Any, expected: grpc.StatusCode
) -> None:
    code, details = wire.refusal(name, request_)
    assert code is expected
    assert len(details) < 2000
    assert details.endswith(".") or expected is not INVALID
    assert emulator.hubs["default"].store.count_by_status(Filter()) == {}
    assert wire.call("QueryEntities", pb.QueryEntitiesRequest()) == pb.QueryEntitiesResponse()


def code_of(wire: Wire, name: str, data: bytes) -> grpc.StatusCode | None:
    try:
        wire.call(name, data, timeout=0.3)
    except grpc.RpcError as refused:
        return refused.code()
    return None


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe"], ids=["no message", "no UTF-8"]
)
def test_bytes_that_are_no_request_are_an_invalid_argument(
    wire: Wire, data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in sorted(METHODS.keys() - {rpc for rpc, _ in MADE_ELSEWHERE}):
        # Bytes may be read as fields that the protocol does not know; that is allowed.
        assert code_of(wire, name, data) in {None, INVALID, NOT_FOUND, DEADLINE}, name
    assert "Traceback" not in capfd.readouterr().err


def test_a_refused_replacement_leaves_the_old_instance(wire: Wire) -> None:
    wire.start(input=string_value('"old"'))
    before = wire.state()
    anything = pb.OrchestrationIdReusePolicy(
        replaceableStatus=[pb.ORCHESTRATION_STATUS_PENDING, pb.ORCHESTRATION_STATUS_TERMINATED]
    )
    request = new(
        instanceId="id", orchestrationIdReusePolicy=anything, scheduledStartTimestamp=NO_TIME
    )
    assert wire.refusal("StartInstance", request)[0] is INVALID
    assert wire.state() == before


# Completions are checked, then taken


@pytest.mark.parametrize(
    "wrong",
    [
        {"instanceId": "other"},
        {"actions": [completion(pb.ORCHESTRATION_STATUS_RUNNING)]},
        {"actions": [completion(pb.ORCHESTRATION_STATUS_CANCELED)]},
    ],
    ids=["instance ID", "RUNNING", "CANCELED"],
)
def test_a_wrong_answer_to_a_turn_is_refused_and_the_right_one_still_counts(
    wire: Wire, wrong: dict[str, Any]
) -> None:
    wire.start()
    item = next(wire.work())
    with pytest.raises(grpc.RpcError) as refused:
        wire.answer(item, **wrong)
    assert refused.value.code() is INVALID
    wire.answer(item, completion(result="1"))
    assert wire.end().output.value == "1"


@pytest.mark.parametrize("wrong", [{"instanceId": "other"}, {"taskId": 7}])
def test_a_wrong_answer_to_an_activity_is_refused_and_the_right_one_still_counts(
    wire: Wire, wrong: dict[str, Any]
) -> None:
    wire.start()
    work = wire.work()
    wire.answer(next(work), activity(1))
    item = next(work)
    right: dict[str, Any] = {
        "instanceId": "id",
        "taskId": 1,
        "completionToken": item.completionToken,
        "result": string_value("2"),
    }
    code, _ = wire.refusal("CompleteActivityTask", pb.ActivityResponse(**(right | wrong)))
    assert code is INVALID
    wire.call("CompleteActivityTask", pb.ActivityResponse(**right))
    assert next(work).orchestratorRequest.newEvents[-1].taskCompleted.result.value == "2"


def test_an_answer_of_another_kind_is_refused_and_takes_nothing(wire: Wire) -> None:
    wire.start()
    item = next(wire.work())
    as_activity = pb.ActivityResponse(instanceId="id", completionToken=item.completionToken)
    assert wire.refusal("CompleteActivityTask", as_activity)[0] is INVALID
    as_batch = pb.EntityBatchResult(completionToken=item.completionToken)
    assert wire.refusal("CompleteEntityTask", as_batch)[0] is INVALID
    wire.answer(item, completion())
    assert wire.state().orchestrationStatus == COMPLETED


# States, histories, purges


def test_a_state_is_whole_however_it_is_asked_for(wire: Wire) -> None:
    later = Timestamp(seconds=1_000)
    wire.start(
        "parent", version=string_value("2.0"), tags={"team": "blue"}, scheduledStartTimestamp=later
    )
    work = wire.work()
    wire.answer(next(work), child(1, "child"))
    wire.answer(next(work), completion())
    execution_id = ""
    for item in work:
        execution_id = item.orchestratorRequest.executionId.value
        wire.answer(item, completion())
        break
    waited = wire.call(
        "WaitForInstanceCompletion",
        pb.GetInstanceRequest(instanceId="parent", getInputsAndOutputs=True),
    ).orchestrationState
    query = pb.QueryInstancesRequest(query=pb.InstanceQuery(fetchInputsAndOutputs=True))
    states = {
        state.instanceId: state for state in wire.call("QueryInstances", query).orchestrationState
    }
    assert waited == wire.state("parent") == states["parent"]
    assert dict(waited.tags) == {"team": "blue"}
    assert (waited.version.value, waited.executionId.value) == ("2.0", execution_id)
    assert waited.scheduledStartTimestamp == later
    assert waited.HasField("completedTimestamp")
    assert states["child"].parentInstanceId.value == "parent"


def test_a_recursive_purge_by_filter_counts_parent_and_child(wire: Wire) -> None:
    wire.start("parent")
    work = wire.work()
    wire.answer(next(work), child(1, "child"))
    wire.answer(next(work), completion())
    wire.answer(next(work), completion())
    purge = pb.PurgeInstancesRequest(
        purgeInstanceFilter=pb.PurgeInstanceFilter(runtimeStatus=[COMPLETED]), recursive=True
    )
    response = wire.call("PurgeInstances", purge)
    assert (response.deletedInstanceCount, response.isComplete.value) == (2, True)


def test_a_purge_that_runs_out_of_time_says_so(wire: Wire) -> None:
    wire.start()
    wire.answer(next(wire.work()), completion())
    purge = pb.PurgeInstancesRequest(
        purgeInstanceFilter=pb.PurgeInstanceFilter(timeout=Duration(nanos=1))
    )
    response = wire.call("PurgeInstances", purge)
    assert (response.deletedInstanceCount, response.isComplete.value) == (0, False)


def test_an_end_can_be_forced_without_a_worker(wire: Wire) -> None:
    wire.start()
    next(wire.work())
    batch = pb.InstanceBatch(instanceIds=["id", "nobody"])
    request = pb.SkipGracefulOrchestrationTerminationsRequest(instanceBatch=batch)
    response = wire.call("SkipGracefulOrchestrationTerminations", request)
    assert list(response.unterminatedInstanceIds) == ["nobody"]
    assert wire.state().orchestrationStatus == pb.ORCHESTRATION_STATUS_TERMINATED


def test_what_an_entity_holds_is_the_lock_of_an_orchestration(wire: Wire) -> None:
    wire.start()
    request = pb.EntityLockRequestedEvent(
        criticalSectionId="s", lockSet=["@a@1"], parentInstanceId=string_value("id")
    )
    action = pb.OrchestratorAction(
        id=1, sendEntityMessage=pb.SendEntityMessageAction(entityLockRequested=request)
    )
    wire.answer(next(wire.work()), action)
    query = pb.QueryEntitiesRequest(query=pb.EntityQuery(includeTransient=True))
    entities = wire.call("QueryEntities", query).entities
    assert [(one.instanceId, one.lockedBy.value) for one in entities] == [("@a@1", "id")]
