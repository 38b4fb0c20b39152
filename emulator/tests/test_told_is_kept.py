"""Whatever a client is told of the state is in the state file, or it is not told."""

from __future__ import annotations

import json
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent import futures
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.client import TaskHubGrpcClient
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from tests.actions import CONTINUED, completion
from tests.processes import endpoint_of, wait_until
from tests.programs import output_of, quiet, register
from tests.state_files import client_of, emulator_of
from tests.wire import Wire, wire_to

ENTITY = "@e@k"
NONE = pb.PurgeInstanceFilter(runtimeStatus=[pb.ORCHESTRATION_STATUS_FAILED])

TELLING: list[tuple[str, Any]] = [
    ("GetInstance", pb.GetInstanceRequest(instanceId="i")),
    ("GetInstance", pb.GetInstanceRequest(instanceId="unknown")),
    ("WaitForInstanceStart", pb.GetInstanceRequest(instanceId="i")),
    ("WaitForInstanceCompletion", pb.GetInstanceRequest(instanceId="i")),
    ("QueryInstances", pb.QueryInstancesRequest()),
    ("ListInstanceIds", pb.ListInstanceIdsRequest()),
    ("StreamInstanceHistory", pb.StreamInstanceHistoryRequest(instanceId="i")),
    ("GetEntity", pb.GetEntityRequest(instanceId=ENTITY, includeState=True)),
    ("QueryEntities", pb.QueryEntitiesRequest(query=pb.EntityQuery(includeState=True))),
    ("PurgeInstances", pb.PurgeInstancesRequest(instanceId="unknown")),
    ("PurgeInstances", pb.PurgeInstancesRequest(purgeInstanceFilter=NONE)),
    # Refusals tell of a state too.
    ("StartInstance", pb.CreateInstanceRequest(instanceId="i", orchestrationIdReusePolicy={})),
    ("RewindInstance", pb.RewindInstanceRequest(instanceId="i")),
    ("TerminateInstance", pb.TerminateRequest(instanceId="unknown")),
    ("StreamInstanceHistory", pb.StreamInstanceHistoryRequest(instanceId="unknown")),
]


PURGE = pb.PurgeInstancesRequest(purgeInstanceFilter=pb.PurgeInstanceFilter())
all_calls = pytest.mark.parametrize(
    "calls", [TELLING, [("PurgeInstances", PURGE)]], ids=["questions and refusals", "a purge"]
)


@contextmanager
def nobody_can_write(path: Path) -> Iterator[None]:
    """Let another program have the file locked for the length of a block."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def emulator(path: Path) -> Iterator[Emulator]:
    with Emulator(db_file=path, dashboard_port=0) as emulator:
        yield emulator


@pytest.fixture
def wire(emulator: Emulator) -> Iterator[Wire]:
    with wire_to(emulator) as wire:
        yield wire


@pytest.fixture
def work(wire: Wire) -> Iterator[dict[str, pb.WorkItem]]:
    """Give what a worker is to do for the instance `i` and an entity: both are on disk."""
    wire.start("i")
    wire.call("SignalEntity", pb.SignalEntityRequest(instanceId=ENTITY, name="add"))
    with wire.working() as items:
        yield {str(item.WhichOneof("request")): item for item in (next(items), next(items))}


def do(wire: Wire, work: dict[str, pb.WorkItem]) -> None:
    """Complete the instance `i`, and give the entity a state."""
    wire.answer(work["orchestratorRequest"], completion(result="1"))
    batch = pb.EntityBatchResult(
        completionToken=work["entityRequestV2"].completionToken,
        results=[pb.OperationResult(success={})],
        entityState={"value": "2"},
    )
    wire.call("CompleteEntityTask", batch)


def outcome(wire: Wire, rpc: str, request: Any) -> Any:
    """Return the answer of a call, or the status that it is refused with."""
    try:
        return wire.call(rpc, request)
    except grpc.RpcError as refused:
        return refused.code()


@all_calls
def test_a_client_is_told_nothing_before_it_is_on_disk(
    path: Path, wire: Wire, work: dict[str, pb.WorkItem], calls: list[tuple[str, Any]]
) -> None:
    with futures.ThreadPoolExecutor(len(calls)) as threads:
        with nobody_can_write(path):
            do(wire, work)
            told = [threads.submit(outcome, wire, *call) for call in calls]
            done, _ = futures.wait(told, timeout=0.5, return_when=futures.FIRST_COMPLETED)
            assert done == set()
        assert grpc.StatusCode.UNAVAILABLE not in [one.result(10) for one in told]


def test_clients_that_have_waited_are_told_once_it_is_on_disk(
    path: Path, emulator: Emulator, wire: Wire, work: dict[str, pb.WorkItem]
) -> None:
    request = pb.GetInstanceRequest(instanceId="i", getInputsAndOutputs=True)
    hub = emulator.hubs["default"]
    waiting = [wire.later("WaitForInstanceCompletion", request) for _ in range(100)]
    wait_until(lambda: len(hub.waiters) == len(waiting), "all wait")
    with nobody_can_write(path):
        do(wire, work)
        with pytest.raises(grpc.FutureTimeoutError):
            waiting[0].result(0.2)
        with closing(sqlite3.connect(path)) as reading:
            assert reading.execute("SELECT completed_at FROM instances").fetchall() == [(None,)]
    for told in waiting:
        assert told.result(10).orchestrationState.output.value == "1"


@all_calls
def test_a_client_is_refused_while_nothing_can_be_kept(
    path: Path, wire: Wire, work: dict[str, pb.WorkItem], calls: list[tuple[str, Any]]
) -> None:
    path.rename(path.with_name("elsewhere.db"))
    do(wire, work)
    for rpc, request in calls:
        code, said = wire.refusal(rpc, request)
        assert code is grpc.StatusCode.UNAVAILABLE, rpc
        assert f"cannot write to {path}" in said


def test_a_client_that_has_waited_is_refused_when_nothing_can_be_kept(
    path: Path, emulator: Emulator, wire: Wire, work: dict[str, pb.WorkItem]
) -> None:
    waiting = wire.later("WaitForInstanceCompletion", pb.GetInstanceRequest(instanceId="i"))
    wait_until(lambda: len(emulator.hubs["default"].waiters) == 1, "it waits")
    path.rename(path.with_name("elsewhere.db"))
    do(wire, work)
    with pytest.raises(grpc.RpcError) as refused:
        waiting.result(10)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert f"cannot write to {path}" in str(refused.value.details())


ACTIVITY = pb.OrchestratorAction(id=1, scheduleTask=pb.ScheduleTaskAction(name="a"))
SIGNAL = pb.EntityOperationSignaledEvent(operation="x", targetInstanceId={"value": "@e@other"})
SENT = pb.SendEntityMessageAction(entityOperationSignaled=SIGNAL)
CHILD = pb.CreateSubOrchestrationAction(instanceId="child", name="o")


@pytest.mark.parametrize(
    "asked",
    [
        ACTIVITY,
        pb.OrchestratorAction(id=1, sendEntityMessage=SENT),
        pb.OrchestratorAction(id=1, createSubOrchestration=CHILD),
        completion(CONTINUED),
    ],
    ids=["activity", "batch", "turn", "next execution"],
)
def test_a_worker_is_sent_nothing_before_it_is_on_disk(
    path: Path, wire: Wire, asked: pb.OrchestratorAction
) -> None:
    wire.start("i")
    with futures.ThreadPoolExecutor() as threads, wire.working() as items:
        turn = next(items)
        with nobody_can_write(path):
            wire.answer(turn, asked)
            sent = threads.submit(next, items)
            with pytest.raises(futures.TimeoutError):
                sent.result(0.2)
        assert sent.result(10).completionToken


def test_a_worker_is_sent_nothing_while_nothing_can_be_kept(
    path: Path, emulator: Emulator, wire: Wire
) -> None:
    away = path.with_name("elsewhere.db")
    wire.start("i")
    with futures.ThreadPoolExecutor() as threads, wire.working() as items:
        turn = next(items)
        path.rename(away)
        wire.answer(turn, ACTIVITY)
        sent = threads.submit(next, items)
        wait_until(lambda: emulator.problem, "the loss is noticed")
        with pytest.raises(futures.TimeoutError):
            sent.result(0.5)
        away.rename(path)
        assert sent.result(10).HasField("activityRequest")


def test_what_is_on_disk_is_sent_to_workers_while_nothing_can_be_kept(
    path: Path, emulator: Emulator, wire: Wire
) -> None:
    wire.start("i")
    path.rename(path.with_name("elsewhere.db"))
    wait_until(lambda: emulator.problem, "the loss is noticed")
    with wire.working() as items:
        assert next(items).HasField("orchestratorRequest")


def test_answers_of_workers_and_the_dashboard_do_not_wait_for_the_disk(
    path: Path, emulator: Emulator, wire: Wire, work: dict[str, pb.WorkItem]
) -> None:
    with nobody_can_write(path):
        do(wire, work)
        request = pb.StreamInstanceHistoryRequest(instanceId="i", forWorkItemProcessing=True)
        (chunk,) = wire.call("StreamInstanceHistory", request, timeout=2)
        assert chunk.events[-1].HasField("executionCompleted")
        address = f"{emulator.dashboard_url}/taskhubs/default.json"
        with urllib.request.urlopen(address, timeout=2) as page:
            (shown,) = json.load(page)["instances"]
        assert shown["status"] == "COMPLETED"


def test_the_dashboard_says_why_nothing_can_be_purged(
    path: Path, emulator: Emulator, wire: Wire, work: dict[str, pb.WorkItem]
) -> None:
    path.rename(path.with_name("elsewhere.db"))
    do(wire, work)
    wait_until(lambda: emulator.problem, "it is noticed")
    form = urllib.parse.urlencode({"action": "purge_all", "shown_at": "9999-01-01"}).encode()
    hub_page = f"{emulator.dashboard_url}/taskhubs/default"
    request = urllib.request.Request(hub_page, form, {"Origin": str(emulator.dashboard_url)})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    assert refused.value.code == 409
    assert "The emulator cannot write to" in refused.value.read().decode()
    with urllib.request.urlopen(hub_page, timeout=5) as page:
        assert page.status == 200


CHARGED: list[str] = []


def ordering(ctx: task.OrchestrationContext, _: Any) -> Any:
    key = yield ctx.call_activity(new_result)
    return (yield ctx.call_activity(charge, input=key))


def charge(_: task.ActivityContext, key: str) -> str:
    CHARGED.append(key)
    return key


def new_result(_: task.ActivityContext, __: Any) -> str:
    return uuid.uuid4().hex


def holding(entity: Any, value: str) -> None:
    entity.set_state(value)


@contextmanager
def killed_in_the_end(path: Path) -> Iterator[TaskHubGrpcClient]:
    """Run an emulator and a worker, give a client beside them; kill the emulator in the end."""
    with (
        emulator_of(path) as program,
        client_of(program) as client,
        DurableTaskSchedulerWorker(
            host_address=endpoint_of(program),
            taskhub="default",
            token_credential=None,
            secure_channel=False,
            logger=quiet,
        ) as worker,
    ):
        for function in (ordering, charge, new_result):
            register(worker, function)
        worker.start()
        yield client
        program.kill()


def test_a_result_that_another_activity_has_acted_upon_is_the_same_after_a_kill(path: Path) -> None:
    for number in range(2):
        CHARGED.clear()
        with killed_in_the_end(path) as client:
            client.schedule_new_orchestration(ordering, instance_id=str(number))
            wait_until(lambda: CHARGED, "the customer is charged")
        with killed_in_the_end(path) as client:
            output_of(client, str(number))
        assert len(set(CHARGED)) == 1
