"""What a client asks for can hurt neither the emulator nor others: refused in words, or done."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from dts_emulator import Emulator
from dts_emulator.engine.events import string_value
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.hub.waiters import Senders
from dts_emulator.rpc import routing
from dts_emulator.store import Filter
from tests.actions import completion
from tests.processes import PATIENCE_SECONDS, wait_until
from tests.sizes import sizes
from tests.store.things import ended
from tests.wire import METHODS, Wire, wire_to

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NO_TIME = Timestamp(seconds=2**62, nanos=-5)
ANSWERED = sorted(set(METHODS) - {"CreateTaskHub", "DeleteTaskHub"})


def test_after_a_refused_signal_locks_and_cleaning_work(wire: Wire) -> None:
    wire.refusal("SignalEntity", pb.SignalEntityRequest(instanceId="x", name="n"))
    wire.call("CleanEntityStorage", pb.CleanEntityStorageRequest())
    with wire.working() as items:
        wire.start("id")
        lock = pb.EntityLockRequestedEvent(criticalSectionId="c", lockSet=["@e@k"])
        message = pb.SendEntityMessageAction(entityLockRequested=lock)
        wire.answer(next(items), pb.OrchestratorAction(id=1, sendEntityMessage=message))
        item = next(items)
        assert item.orchestratorRequest.newEvents[1].HasField("entityLockGranted")
        unlock = pb.EntityUnlockSentEvent(
            criticalSectionId="c", targetInstanceId=string_value("@e@k")
        )
        message = pb.SendEntityMessageAction(entityUnlockSent=unlock)
        wire.answer(item, pb.OrchestratorAction(id=2, sendEntityMessage=message), completion())
    assert wire.end("id").orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED


# Depth and number


def test_a_purge_1500_levels_deep_leaves_no_orphan(hub: TaskHub, wire: Wire) -> None:
    for level in range(1500):
        hub.store.put(ended(str(level), parent_id=str(level - 1) if level else None))
    purged = wire.call("PurgeInstances", pb.PurgeInstancesRequest(instanceId="0", recursive=True))
    assert purged.deletedInstanceCount == 1500
    assert hub.store.count_by_status(Filter()) == {}


def test_nothing_is_kept_of_the_names_and_timers_of_what_is_gone(hub: TaskHub, wire: Wire) -> None:
    parts, far = (hub.store, hub.leases, hub.waiters), Timestamp(seconds=4_000_000_000)
    before = sizes(hub, *parts)
    for number in range(100):
        wire.start(str(number), f"name-{number}", scheduledStartTimestamp=far)
    assert len(hub.timers) == 100
    for number in range(100):
        wire.call("TerminateInstance", pb.TerminateRequest(instanceId=str(number)))
        wire.call("PurgeInstances", pb.PurgeInstancesRequest(instanceId=str(number)))
    assert len(hub.timers) == 0
    for number in range(100):
        wire.start(str(number), f"name-{number}")
    assert hub.leases.waiting() == 100
    with wire.working() as items:
        for _ in range(100):
            wire.answer(next(items), completion())
    wire.call("PurgeInstances", pb.PurgeInstancesRequest(purgeInstanceFilter={}))
    assert sizes(hub, *parts) == before


# Waiting


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
    with wire.working() as items:
        wire.start("large")
        output = '"' + "x" * 1_000_000 + '"'
        wire.answer(next(items), completion(result=output))
    wire.end("large")
    wanted = pb.GetInstanceRequest(instanceId="large", getInputsAndOutputs=True)
    with wire_to(emulator) as lazy:
        unread = [lazy.stream("StreamInstanceHistory", _history_of("large")) for _ in range(20)]
        answers = [lazy.later("WaitForInstanceCompletion", wanted) for _ in range(200)]
        with ThreadPoolExecutor(1) as pool:
            state = pool.submit(wire.end, "large").result(PATIENCE_SECONDS)
        for call in (*unread, *answers):
            call.cancel()
    assert state.output.value == output


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
        assert words == "This emulator serves at most 3 streams simultaneously."
        streams[0].cancel()
        wait_until(lambda: hub.leases.streams == 2, "one has gone")
        with wire.working() as items:
            for stream in streams[1:]:
                stream.cancel()
            wait_until(lambda: hub.leases.streams == 1, "the others have gone too")
            wire.start("id")
            wire.answer(next(items), completion())
            wire.end("id")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_connections_that_come_and_go_leave_no_file_open(emulator: Emulator) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    for _ in range(5):
        with wire_to(emulator) as wire:
            wire.start("")
    before = open_files()
    for _ in range(50):
        with wire_to(emulator) as wire:
            wire.start("")
    wait_until(lambda: open_files() <= before + 10, "the connections are closed")
