"""An instance that nothing will wake by itself is pointed out, once, in the log and on its page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from starlette.testclient import TestClient

from dts_emulator import Emulator
from dts_emulator.dashboard.app import create_app
from dts_emulator.dashboard.hub_adapter import HubAdapter
from tests.actions import activity, completion
from tests.dashboard.asking import HOST
from tests.wire import Wire, wire_to

WORDS = "has no pending task: only an external event can wake this instance"
ON_PAGE = "No pending task: only an external event can wake this instance."


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, logger="emulator")
    return caplog


def page_of(emulator: Emulator) -> str:
    """Return the HTML of the instance's page."""
    app = create_app({"default": HubAdapter(emulator.hubs["default"])}, ready=lambda: True)
    answer = TestClient(app, base_url=HOST).get("/taskhubs/default/instances/id")
    assert answer.status_code == 200
    return str(answer.text)


def warnings(log: pytest.LogCaptureFixture) -> int:
    return sum(WORDS in record.getMessage() for record in log.records)


def test_a_turn_that_asks_for_nothing_and_ends_nothing_is_pointed_out_once(
    emulator: Emulator, wire: Wire, log: pytest.LogCaptureFixture
) -> None:
    wire.start()
    work = wire.work()
    wire.answer(next(work))
    assert warnings(log) == 1
    assert ON_PAGE in page_of(emulator)
    for _ in range(2):
        wire.call("RaiseEvent", pb.RaiseEventRequest(instanceId="id", name="news"))
        wire.answer(next(work))
    assert warnings(log) == 1
    assert wire.state().orchestrationStatus == pb.ORCHESTRATION_STATUS_RUNNING
    wire.call("RaiseEvent", pb.RaiseEventRequest(instanceId="id", name="news"))
    wire.answer(next(work), completion())
    assert ON_PAGE not in page_of(emulator)


Prepare = Callable[[Wire, Iterator[pb.WorkItem]], None]


def an_activity_is_pending(wire: Wire, work: Iterator[pb.WorkItem]) -> None:
    wire.answer(next(work), activity())


def an_activity_was_asked_for_before(wire: Wire, work: Iterator[pb.WorkItem]) -> None:
    wire.answer(next(work), activity())
    next(work)
    wire.call("RaiseEvent", pb.RaiseEventRequest(instanceId="id", name="news"))
    wire.answer(next(work))


def an_event_has_come_meanwhile(wire: Wire, work: Iterator[pb.WorkItem]) -> None:
    item = next(work)
    wire.call("RaiseEvent", pb.RaiseEventRequest(instanceId="id", name="news"))
    wire.answer(item)


def it_has_ended(wire: Wire, work: Iterator[pb.WorkItem]) -> None:
    wire.answer(next(work), completion())


def it_is_suspended(wire: Wire, work: Iterator[pb.WorkItem]) -> None:
    item = next(work)
    wire.call("SuspendInstance", pb.SuspendRequest(instanceId="id"))
    wire.answer(item)
    wire.answer(next(work))


@pytest.mark.parametrize(
    "prepare",
    [
        an_activity_is_pending,
        an_activity_was_asked_for_before,
        an_event_has_come_meanwhile,
        it_has_ended,
        it_is_suspended,
    ],
    ids=lambda prepare: prepare.__name__,
)
def test_an_instance_of_which_something_is_to_come_is_not(
    prepare: Prepare, log: pytest.LogCaptureFixture
) -> None:
    with Emulator() as emulator, wire_to(emulator) as wire:
        wire.start()
        prepare(wire, wire.work())
        assert warnings(log) == 0
        assert ON_PAGE not in page_of(emulator)
