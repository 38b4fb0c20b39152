"""What a client asks for can hurt neither the emulator nor others: refused in words, or done."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from dts_emulator import Emulator, server
from dts_emulator.engine.events import string_value
from dts_emulator.hub.senders import Senders
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.rpc import routing
from dts_emulator.store import Filter
from tests.parts import square, sum_of_squares
from tests.processes import PATIENCE_SECONDS, wait_until
from tests.programs import program_of, run
from tests.wire import (
    METHODS,
    Wire,
    answer,
    completed,
    end_of,
    start,
    state_of,
    wire_to,
    work_items_of,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NO_TIME = Timestamp(seconds=2**62, nanos=-5)
ANSWERED = sorted(set(METHODS) - {"CreateTaskHub", "DeleteTaskHub"})


@pytest.fixture
def hub(emulator: Emulator) -> TaskHub:
    return emulator.hubs["default"]


@pytest.fixture
def wire(emulator: Emulator) -> Iterator[Wire]:
    with wire_to(emulator) as wire:
        yield wire


BAD_REQUESTS: list[tuple[str, Any]] = [
    ("SignalEntity", pb.SignalEntityRequest(instanceId="x", name="n")),
    ("SignalEntity", pb.SignalEntityRequest(instanceId="@", name="n")),
    ("SignalEntity", pb.SignalEntityRequest(instanceId="@e", name="n")),
    ("SignalEntity", pb.SignalEntityRequest(instanceId="@e@k\n", name="n")),
    ("SignalEntity", pb.SignalEntityRequest(instanceId="@e@k", scheduledTime=NO_TIME)),
    ("StartInstance", pb.CreateInstanceRequest(instanceId="@e@k", name="n")),
    ("StartInstance", pb.CreateInstanceRequest(name="n", scheduledStartTimestamp=NO_TIME)),
    ("QueryInstances", pb.QueryInstancesRequest(query={"createdTimeFrom": NO_TIME})),
    ("QueryInstances", pb.QueryInstancesRequest(query={"continuationToken": string_value("x")})),
    (
        "QueryInstances",
        pb.QueryInstancesRequest(query={"continuationToken": string_value("9" * 5000)}),
    ),
    ("QueryEntities", pb.QueryEntitiesRequest(query={"lastModifiedTo": NO_TIME})),
    ("ListInstanceIds", pb.ListInstanceIdsRequest(completedTimeFrom=NO_TIME)),
    ("ListInstanceIds", pb.ListInstanceIdsRequest(lastInstanceKey=string_value("٣|x"))),
    ("ListInstanceIds", pb.ListInstanceIdsRequest(lastInstanceKey=string_value("9" * 30 + "|x"))),
    ("PurgeInstances", pb.PurgeInstancesRequest(purgeInstanceFilter={"createdTimeTo": NO_TIME})),
    ("PurgeInstances", pb.PurgeInstancesRequest(instanceBatch={"instanceIds": ["x"] * 501})),
]


@pytest.mark.parametrize(
    ("name", "request_"), BAD_REQUESTS, ids=[f"{n}-{i}" for i, (n, _) in enumerate(BAD_REQUESTS)]
)
def test_a_request_for_what_cannot_be_is_an_invalid_argument(
    hub: TaskHub, wire: Wire, name: str, request_: Any
) -> None:
    code, words = wire.refusal(name, request_)
    assert code is INVALID
    assert words.endswith(".")
    assert hub.store.count_by_status(Filter()) == {}
    assert wire.call("QueryEntities", pb.QueryEntitiesRequest()) == pb.QueryEntitiesResponse()


@pytest.mark.parametrize("name", ANSWERED)
@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe"], ids=["no message", "no UTF-8"]
)
def test_bytes_that_are_no_request_are_an_invalid_argument(
    wire: Wire, name: str, data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        wire.call(name, data, timeout=5)
    except grpc.RpcError as refused:
        code = refused.code()
        # Bytes may be read as fields that the protocol does not know; that is allowed.
        expected = {INVALID, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.NOT_FOUND}
        assert code in expected
    assert "Traceback" not in capfd.readouterr().err


def test_a_bad_time_with_a_reuse_policy_leaves_the_old_instance(wire: Wire) -> None:
    start(wire, "id", input=string_value("1"))
    ended = pb.ORCHESTRATION_STATUS_TERMINATED
    policy = {"replaceableStatus": [pb.ORCHESTRATION_STATUS_PENDING, ended]}
    request = pb.CreateInstanceRequest(
        instanceId="id",
        name="o",
        scheduledStartTimestamp=NO_TIME,
        orchestrationIdReusePolicy=policy,
    )
    before = state_of(wire, "id")
    assert wire.refusal("StartInstance", request)[0] is INVALID
    assert state_of(wire, "id") == before


def test_after_a_refused_signal_locks_and_cleaning_work(wire: Wire) -> None:
    wire.refusal("SignalEntity", pb.SignalEntityRequest(instanceId="x", name="n"))
    wire.call("CleanEntityStorage", pb.CleanEntityStorageRequest())
    with work_items_of(wire) as items:
        start(wire, "id")
        lock = pb.EntityLockRequestedEvent(criticalSectionId="c", lockSet=["@e@k"])
        message = pb.SendEntityMessageAction(entityLockRequested=lock)
        answer(wire, next(items), pb.OrchestratorAction(id=1, sendEntityMessage=message))
        item = next(items)
        assert item.orchestratorRequest.newEvents[1].HasField("entityLockGranted")
        unlock = pb.EntityUnlockSentEvent(
            criticalSectionId="c", targetInstanceId=string_value("@e@k")
        )
        message = pb.SendEntityMessageAction(entityUnlockSent=unlock)
        answer(wire, item, pb.OrchestratorAction(id=2, sendEntityMessage=message), completed())
    assert end_of(wire, "id").orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED


def test_a_name_without_end_is_repeated_in_part(wire: Wire) -> None:
    code, words = wire.refusal("TerminateInstance", pb.TerminateRequest(instanceId="x" * 1_000_000))
    assert code is grpc.StatusCode.NOT_FOUND
    assert len(words) < 2000


# Depth and number


def test_a_purge_1500_levels_deep_leaves_no_orphan(hub: TaskHub, wire: Wire) -> None:
    with work_items_of(wire) as items:
        start(wire, "0")
        for level in range(1, 1500):
            child = pb.CreateSubOrchestrationAction(instanceId=str(level), name="o")
            answer(wire, next(items), pb.OrchestratorAction(id=1, createSubOrchestration=child))
        # The deepest one ends, and so does, one after the other, every parent.
        for _ in range(1500):
            answer(wire, next(items), completed())
    assert end_of(wire, "0").orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED
    purged = wire.call("PurgeInstances", pb.PurgeInstancesRequest(instanceId="0", recursive=True))
    assert purged.deletedInstanceCount == 1500
    assert hub.store.count_by_status(Filter()) == {}


def test_nothing_is_kept_of_the_names_and_timers_of_what_is_gone(hub: TaskHub, wire: Wire) -> None:
    far = Timestamp(seconds=4_000_000_000)
    for number in range(300):
        start(wire, str(number), f"name-{number}", scheduledStartTimestamp=far)
    assert len(hub.timers) == 300
    for number in range(300):
        wire.call("TerminateInstance", pb.TerminateRequest(instanceId=str(number)))
        wire.call("PurgeInstances", pb.PurgeInstancesRequest(instanceId=str(number)))
    assert len(hub.timers) == 0
    for number in range(300):
        start(wire, str(number), f"name-{number}")
    assert hub.leases.waiting() == 300
    with work_items_of(wire) as items:
        for _ in range(300):
            answer(wire, next(items), completed())
    assert not hub.leases._waiting
    assert not hub.leases._turns


# Waiting


def threads_of_this_process() -> int:
    return threading.active_count()


@pytest.mark.slow
def test_10_000_waits_cost_no_thread_and_leave_a_run_unharmed(
    emulator: Emulator, hub: TaskHub
) -> None:
    waits = 10_000
    wanted = pb.GetInstanceRequest(instanceId="awaited", getInputsAndOutputs=True)
    with (
        program_of(emulator, sum_of_squares, square) as client,
        wire_to(emulator) as wire,
        wire_to(emulator) as other,
    ):
        run(client, sum_of_squares, input=1)
        before = threads_of_this_process()
        answers = [
            (wire if n % 2 else other).later("WaitForInstanceCompletion", wanted)
            for n in range(waits)
        ]
        wait_until(lambda: len(hub.waiters) == waits, "all wait")
        # The calls have come in a burst, on as many threads as calls may have.
        assert threads_of_this_process() < before + server.MAX_THREADS + 100
        assert run(client, sum_of_squares, input=10) == 285
        start(wire, "awaited", "sum_of_squares", input=string_value("3"))
        outputs = {
            answer.result(PATIENCE_SECONDS).orchestrationState.output.value for answer in answers
        }
    assert outputs == {"5"}
    assert len(hub.waiters) == 0


def test_one_who_does_not_read_holds_up_nobody_else() -> None:
    senders = Senders()
    stuck, sent = threading.Event(), threading.Event()

    def wait() -> None:
        stuck.wait(PATIENCE_SECONDS)

    for _ in range(1000):
        senders.send("frozen", wait)
    senders.send("healthy", sent.set)
    assert sent.wait(PATIENCE_SECONDS)
    stuck.set()
    senders.close()


def test_clients_that_do_not_read_their_answers_leave_others_unharmed(
    emulator: Emulator, wire: Wire
) -> None:
    """A large output, and clients with a small window who stop reading: sending to them blocks."""
    with work_items_of(wire) as items:
        start(wire, "large")
        output = string_value('"' + "x" * 1_000_000 + '"')
        answer(wire, next(items), completed(result=output))
    end_of(wire, "large")
    wanted = pb.GetInstanceRequest(instanceId="large", getInputsAndOutputs=True)
    with wire_to(emulator) as lazy:
        unread = [lazy.stream("StreamInstanceHistory", _history_of("large")) for _ in range(20)]
        answers = [lazy.later("WaitForInstanceCompletion", wanted) for _ in range(200)]
        with ThreadPoolExecutor(1) as pool:
            state = pool.submit(end_of, wire, "large").result(PATIENCE_SECONDS)
        for call in (*unread, *answers):
            call.cancel()
    assert state.output == output


def _history_of(instance_id: str) -> pb.StreamInstanceHistoryRequest:
    return pb.StreamInstanceHistoryRequest(instanceId=instance_id)


def test_more_streams_than_there_is_room_for_are_refused_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routing, "MAX_STREAMS", 3)
    with Emulator() as emulator, wire_to(emulator) as wire:
        hub = emulator.hubs["default"]
        streams = [wire.stream("GetWorkItems", pb.GetWorkItemsRequest()) for _ in range(3)]
        wait_until(lambda: hub.leases.streams == 3, "three workers are connected")
        code, words = wire.refusal("GetWorkItems", pb.GetWorkItemsRequest())
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert words == "This emulator serves at most 3 streams at once."
        streams[0].cancel()
        wait_until(lambda: hub.leases.streams == 2, "one has gone")
        with work_items_of(wire) as items:
            for stream in streams[1:]:
                stream.cancel()
            wait_until(lambda: hub.leases.streams == 1, "the others have gone too")
            start(wire, "id")
            answer(wire, next(items), completed())
            end_of(wire, "id")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_connections_that_come_and_go_leave_no_file_open(emulator: Emulator) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    for _ in range(5):
        with wire_to(emulator) as wire:
            start(wire, "")
    before = open_files()
    for _ in range(50):
        with wire_to(emulator) as wire:
            start(wire, "")
    wait_until(lambda: open_files() <= before + 10, "the connections are closed")
