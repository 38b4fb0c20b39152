"""Answers to clients carry a header with the dashboard's port."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.empty_pb2 import Empty

from dts_emulator import Emulator
from tests.actions import completion
from tests.processes import wait_until
from tests.wire import Wire, wire_to

HEADER = "dts-dashboard-port"
WAITS = ["WaitForInstanceStart", "WaitForInstanceCompletion"]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(dashboard_port=0) as emulator:
        yield emulator


def port_in(call: Any) -> Any:
    """Wait until a call has ended, well or not, and return the port in its headers."""
    call.code()
    return dict(call.initial_metadata() or ()).get(HEADER)


def asked_for(instance_id: str) -> pb.GetInstanceRequest:
    return pb.GetInstanceRequest(instanceId=instance_id)


CALLS = {
    "Hello": Empty(),
    "StartInstance": pb.CreateInstanceRequest(instanceId="new", name="o"),
    "GetInstance": asked_for("id"),
    "RaiseEvent": pb.RaiseEventRequest(instanceId="id", name="e"),
    "QueryInstances": pb.QueryInstancesRequest(),
    "TerminateInstance": pb.TerminateRequest(instanceId="id"),
}

REFUSED_CALLS = {
    "StartInstance": (pb.CreateInstanceRequest(instanceId="id", name="o"), "ALREADY_EXISTS"),
    "RaiseEvent": (pb.RaiseEventRequest(instanceId="none", name="e"), "NOT_FOUND"),
    "TerminateInstance": (pb.TerminateRequest(instanceId="none"), "NOT_FOUND"),
    "GetInstance": (b"\xff", "INVALID_ARGUMENT"),
    "WaitForInstanceStart": (b"\xff", "INVALID_ARGUMENT"),
    "WaitForInstanceCompletion": (b"\xff", "INVALID_ARGUMENT"),
}


@pytest.mark.parametrize("rpc", CALLS)
def test_an_answer_names_the_dashboards_port(rpc: str, emulator: Emulator, wire: Wire) -> None:
    wire.start("id")
    assert port_in(wire.later(rpc, CALLS[rpc])) == str(emulator.dashboard_port)


@pytest.mark.parametrize("rpc", REFUSED_CALLS)
def test_a_refusal_names_it_too(rpc: str, emulator: Emulator, wire: Wire) -> None:
    wire.start("id")
    request, code = REFUSED_CALLS[rpc]
    call = wire.later(rpc, request)
    assert port_in(call) == str(emulator.dashboard_port)
    assert call.code() is grpc.StatusCode[code]


@pytest.mark.parametrize("rpc", WAITS)
def test_a_wait_that_was_answered_later_names_it(rpc: str, emulator: Emulator, wire: Wire) -> None:
    wire.start("id")
    call = wire.later(rpc, asked_for("id"))
    with wire.working() as items:
        wire.answer(next(items), completion())
    assert port_in(call) == str(emulator.dashboard_port)
    assert call.code() is grpc.StatusCode.OK


def test_an_unknown_task_hub_is_refused_with_it(emulator: Emulator) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{emulator.port}") as channel:
        call = Wire(channel, "unknown").later("GetInstance", asked_for("id"))
        assert port_in(call) == str(emulator.dashboard_port)
        assert call.code() is grpc.StatusCode.NOT_FOUND


def test_a_stopping_emulator_sends_no_header_so_that_grpc_may_repeat_a_wait() -> None:
    with Emulator(dashboard_port=0) as emulator, wire_to(emulator) as wire:
        wire.start("id")
        call = wire.later("WaitForInstanceCompletion", asked_for("id"))
        wait_until(lambda: len(emulator.hubs["default"].waiters), "the client waits")
        emulator.stop()
        assert port_in(call) is None
        assert call.code() is grpc.StatusCode.UNAVAILABLE


def test_a_worker_is_not_told() -> None:
    with Emulator(dashboard_port=0) as emulator, wire_to(emulator) as wire:
        assert port_in(wire.later("CompleteActivityTask", pb.ActivityResponse())) is None


def test_without_a_dashboard_there_is_no_header() -> None:
    with Emulator() as emulator, wire_to(emulator) as wire:
        for rpc, request in CALLS.items():
            assert port_in(wire.later(rpc, request)) is None


@contextmanager
def retrying(port: int) -> Iterator[Wire]:
    """Connect as a client that lets gRPC repeat calls of an emulator that is unavailable."""
    policy = {
        "maxAttempts": 5,
        "initialBackoff": "0.2s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]})
    with grpc.insecure_channel(
        f"127.0.0.1:{port}",
        options=[("grpc.service_config", config), ("grpc.use_local_subchannel_pool", 1)],
    ) as channel:
        yield Wire(channel)


def test_grpc_repeats_a_wait_on_an_emulator_that_restarts(path: Any) -> None:
    with Emulator(dashboard_port=0, db_file=path) as emulator, retrying(emulator.port) as wire:
        wire.start("id")
        call = wire.later("WaitForInstanceCompletion", asked_for("id"))
        wait_until(lambda: len(emulator.hubs["default"].waiters), "the client waits")
        emulator.stop()
        emulator.start()
        wait_until(lambda: len(emulator.hubs["default"].waiters), "the client waits again")
        with wire.working() as items:
            wire.answer(next(items), completion())
        assert port_in(call) == str(emulator.dashboard_port)
