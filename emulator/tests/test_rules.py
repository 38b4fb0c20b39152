"""The service's rules as a worker or client of any language meets them, call by call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from dts_emulator.engine.events import string_value
from tests.caller import COMPLETED, Caller, activity, child, ended

# What is refused


BAD_TIME = Timestamp(seconds=-70_000_000_000)
LONG_ID = "x" * 101

REFUSED: dict[str, tuple[str, Callable[[], Any]]] = {
    "an instance ID that is too long": (
        "StartInstance",
        lambda: pb.CreateInstanceRequest(instanceId=LONG_ID, name="o"),
    ),
    "an instance ID like an entity's": (
        "StartInstance",
        lambda: pb.CreateInstanceRequest(instanceId="@a@b", name="o"),
    ),
    "a start at no time": (
        "StartInstance",
        lambda: pb.CreateInstanceRequest(name="o", scheduledStartTimestamp=BAD_TIME),
    ),
    "a signal to what is no entity": (
        "SignalEntity",
        lambda: pb.SignalEntityRequest(instanceId="x", name="add"),
    ),
    "a signal at no time": (
        "SignalEntity",
        lambda: pb.SignalEntityRequest(instanceId="@a@b", name="add", scheduledTime=BAD_TIME),
    ),
    "a query with no time": (
        "QueryInstances",
        lambda: pb.QueryInstancesRequest(query=pb.InstanceQuery(createdTimeFrom=BAD_TIME)),
    ),
    "a query with a token of somebody else": (
        "QueryInstances",
        lambda: pb.QueryInstancesRequest(
            query=pb.InstanceQuery(continuationToken=string_value("?"))
        ),
    ),
    "a list after a key of somebody else": (
        "ListInstanceIds",
        lambda: pb.ListInstanceIdsRequest(lastInstanceKey=string_value("yesterday|x")),
    ),
    "a purge with no time": (
        "PurgeInstances",
        lambda: pb.PurgeInstancesRequest(
            purgeInstanceFilter=pb.PurgeInstanceFilter(createdTimeTo=BAD_TIME)
        ),
    ),
    "a purge of more than 500": (
        "PurgeInstances",
        lambda: pb.PurgeInstancesRequest(instanceBatch=pb.InstanceBatch(instanceIds=["x"] * 501)),
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_in_itself_is_an_invalid_argument(caller: Caller, what: str) -> None:
    rpc, request = REFUSED[what]
    assert caller.code_of(rpc, request()) is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("rpc", ["RaiseEvent", "SuspendInstance", "TerminateInstance"])
def test_what_is_unknown_is_not_found(caller: Caller, rpc: str) -> None:
    request = {
        "RaiseEvent": pb.RaiseEventRequest(instanceId="nobody", name="go"),
        "SuspendInstance": pb.SuspendRequest(instanceId="nobody"),
        "TerminateInstance": pb.TerminateRequest(instanceId="nobody"),
    }[rpc]
    assert caller.code_of(rpc, request) is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [("CreateTaskHub", pb.CreateTaskHubRequest()), ("DeleteTaskHub", pb.DeleteTaskHubRequest())],
)
def test_task_hubs_are_not_made_by_calls(caller: Caller, rpc: str, request_: Any) -> None:
    assert caller.code_of(rpc, request_) is grpc.StatusCode.UNIMPLEMENTED


def test_a_refused_replacement_leaves_the_old_instance(caller: Caller) -> None:
    caller.start(input=string_value('"old"'))
    anything = pb.OrchestrationIdReusePolicy(
        replaceableStatus=[
            pb.ORCHESTRATION_STATUS_PENDING,
            pb.ORCHESTRATION_STATUS_TERMINATED,
        ]
    )
    request = pb.CreateInstanceRequest(
        instanceId="id",
        name="o",
        orchestrationIdReusePolicy=anything,
        scheduledStartTimestamp=BAD_TIME,
    )
    assert caller.code_of("StartInstance", request) is grpc.StatusCode.INVALID_ARGUMENT
    assert caller.state().input.value == '"old"'


# Completions are checked, then taken


@pytest.mark.parametrize(
    "wrong",
    [{"instanceId": "other"}, {"actions": [ended(pb.ORCHESTRATION_STATUS_CANCELED)]}],
    ids=["another instance", "a status that no turn may set"],
)
def test_a_wrong_answer_to_a_turn_is_refused_and_the_right_one_still_counts(
    caller: Caller, wrong: dict[str, Any]
) -> None:
    caller.start()
    item = next(caller.work())
    with pytest.raises(grpc.RpcError) as refused:
        caller.answer(item, **wrong)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    caller.answer(item, ended())
    assert caller.state().orchestrationStatus == COMPLETED


@pytest.mark.parametrize("wrong", [{"instanceId": "other"}, {"taskId": 7}])
def test_a_wrong_answer_to_an_activity_is_refused_and_the_right_one_still_counts(
    caller: Caller, wrong: dict[str, Any]
) -> None:
    caller.start()
    work = caller.work()
    caller.answer(next(work), activity(1))
    item = next(work)
    right: dict[str, Any] = {
        "instanceId": "id",
        "taskId": 1,
        "completionToken": item.completionToken,
    }
    code = caller.code_of("CompleteActivityTask", pb.ActivityResponse(**(right | wrong)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    caller.call("CompleteActivityTask", pb.ActivityResponse(**right))
    assert next(work).orchestratorRequest.newEvents[-1].HasField("taskCompleted")


def test_an_answer_of_another_kind_is_refused_and_takes_nothing(caller: Caller) -> None:
    caller.start()
    work = caller.work()
    item = next(work)
    answer = pb.ActivityResponse(instanceId="id", completionToken=item.completionToken)
    assert caller.code_of("CompleteActivityTask", answer) is grpc.StatusCode.INVALID_ARGUMENT
    caller.answer(item, ended())
    assert caller.state().orchestrationStatus == COMPLETED


# States, histories, purges


def test_a_state_is_whole_however_it_is_asked_for(caller: Caller) -> None:
    later = Timestamp(seconds=1_000)
    caller.start(
        "parent", version=string_value("2.0"), tags={"team": "blue"}, scheduledStartTimestamp=later
    )
    work = caller.work()
    caller.answer(next(work), child(1, "child"))
    caller.answer(next(work), ended())
    execution_id = ""
    for item in work:
        execution_id = item.orchestratorRequest.executionId.value
        caller.answer(item, ended())
        break
    waited = caller.call(
        "WaitForInstanceCompletion",
        pb.GetInstanceRequest(instanceId="parent", getInputsAndOutputs=True),
    ).orchestrationState
    query = pb.QueryInstancesRequest(query=pb.InstanceQuery(fetchInputsAndOutputs=True))
    states = {
        state.instanceId: state for state in caller.call("QueryInstances", query).orchestrationState
    }
    assert waited == caller.state("parent") == states["parent"]
    assert dict(waited.tags) == {"team": "blue"}
    assert (waited.version.value, waited.executionId.value) == ("2.0", execution_id)
    assert waited.scheduledStartTimestamp == later
    assert waited.HasField("completedTimestamp")
    assert states["child"].parentInstanceId.value == "parent"


def test_a_recursive_purge_by_filter_counts_parent_and_child(caller: Caller) -> None:
    caller.start("parent")
    work = caller.work()
    caller.answer(next(work), child(1, "child"))
    caller.answer(next(work), ended())
    caller.answer(next(work), ended())
    purge = pb.PurgeInstancesRequest(
        purgeInstanceFilter=pb.PurgeInstanceFilter(runtimeStatus=[COMPLETED]), recursive=True
    )
    response = caller.call("PurgeInstances", purge)
    assert (response.deletedInstanceCount, response.isComplete.value) == (2, True)


def test_a_purge_that_runs_out_of_time_says_so(caller: Caller) -> None:
    caller.start()
    caller.answer(next(caller.work()), ended())
    purge = pb.PurgeInstancesRequest(
        purgeInstanceFilter=pb.PurgeInstanceFilter(timeout=Duration(nanos=1))
    )
    response = caller.call("PurgeInstances", purge)
    assert (response.deletedInstanceCount, response.isComplete.value) == (0, False)


def test_an_end_can_be_forced_without_a_worker(caller: Caller) -> None:
    caller.start()
    next(caller.work())
    batch = pb.InstanceBatch(instanceIds=["id", "nobody"])
    request = pb.SkipGracefulOrchestrationTerminationsRequest(instanceBatch=batch)
    response = caller.call("SkipGracefulOrchestrationTerminations", request)
    assert list(response.unterminatedInstanceIds) == ["nobody"]
    assert caller.state().orchestrationStatus == pb.ORCHESTRATION_STATUS_TERMINATED


def test_what_an_entity_holds_is_the_lock_of_an_orchestration(caller: Caller) -> None:
    caller.start()
    request = pb.EntityLockRequestedEvent(
        criticalSectionId="s", lockSet=["@a@1"], parentInstanceId=string_value("id")
    )
    action = pb.OrchestratorAction(
        id=1, sendEntityMessage=pb.SendEntityMessageAction(entityLockRequested=request)
    )
    caller.answer(next(caller.work()), action)
    query = pb.QueryEntitiesRequest(query=pb.EntityQuery(includeTransient=True))
    entities = caller.call("QueryEntities", query).entities
    assert [(one.instanceId, one.lockedBy.value) for one in entities] == [("@a@1", "id")]
