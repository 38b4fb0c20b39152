"""Workers of every kind are replayed on, and those that cannot be are told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import grpc
import pytest
from durabletask import history as h
from durabletask import task
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.worker import (
    OrchestrationWorkItemFilter,
    VersionFailureStrategy,
    VersioningOptions,
    VersionMatchStrategy,
    WorkItemFilters,
)
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from dts_emulator import NoAnswerError, Replayer, ReplayResult, WorkerRefusedError
from tests.programs import new_worker
from tests.wire import Wire, response_to

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
TRACE = h.TraceContext(
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "b7ad6b7169203331"
)


def one_step(payload: str = '"x"', version: str | None = None) -> list[h.HistoryEvent]:
    """Return the history of an orchestration that has asked for one activity and still runs."""
    instance = h.OrchestrationInstance("run-1", "execution-1")
    return [
        h.OrchestratorStartedEvent(-1, NOW),
        h.ExecutionStartedEvent(
            -1,
            NOW,
            "order",
            version=version,
            input=payload,
            orchestration_instance=instance,
            parent_trace_context=TRACE,
        ),
        h.TaskScheduledEvent(1, NOW, "reserve", input=payload, parent_trace_context=TRACE),
        h.OrchestratorStartedEvent(-1, NOW + timedelta(seconds=1)),
        h.EventRaisedEvent(-1, NOW + timedelta(seconds=1), "news"),
    ]


def order(ctx: task.OrchestrationContext, what: str) -> Iterator[Any]:
    return (yield ctx.call_activity("reserve", input=what))


# What the SDK's worker refuses


def knowing_others(worker: Any) -> None:
    worker.add_activity(print_nothing)
    worker.use_work_item_filters()


def print_nothing(_: Any, __: Any) -> None:
    return None


def filtering_versions(worker: Any) -> None:
    worker.add_orchestrator(order)
    mine = OrchestrationWorkItemFilter(name="order", versions=["2.0.0"])
    worker.use_work_item_filters(WorkItemFilters(orchestrations=[mine]))


def strict(failure: VersionFailureStrategy) -> Callable[[Any], None]:
    def prepare(worker: Any) -> None:
        worker.add_orchestrator(order)
        worker.use_versioning(
            VersioningOptions(
                version="2.0.0",
                match_strategy=VersionMatchStrategy.STRICT,
                failure_strategy=failure,
            )
        )

    return prepare


UNREGISTERED = "The worker does not take 'order': it has not registered it."


@pytest.mark.parametrize(
    ("prepare", "version", "why"),
    [
        (lambda worker: None, None, UNREGISTERED),
        (knowing_others, None, UNREGISTERED),
        (
            filtering_versions,
            "1.0.0",
            "The worker does not take 'order' in version '1.0.0': "
            "it accepts it in other versions only.",
        ),
        (
            strict(VersionFailureStrategy.FAIL),
            "1.0.0",
            "'1.0.0' does not match the worker version '2.0.0'",
        ),
        (
            strict(VersionFailureStrategy.REJECT),
            "1.0.0",
            "The worker gives turns of 'order' in version '1.0.0' back without running them: "
            "check the version that it accepts.",
        ),
    ],
    ids=["unknown", "not in its filter", "other versions", "version failed", "version rejected"],
)
def test_what_a_worker_refuses_is_told_apart(
    prepare: Callable[[Any], object], version: str | None, why: str
) -> None:
    with Replayer() as replayer, new_worker(replayer) as worker:
        prepare(worker)
        worker.start()
        with pytest.raises(WorkerRefusedError) as refused:
            replayer.replay(one_step(version=version))
    assert why in str(refused.value)


def test_a_worker_that_has_the_version_takes_it() -> None:
    with Replayer() as replayer, new_worker(replayer) as worker:
        strict(VersionFailureStrategy.FAIL)(worker)
        worker.start()
        assert replayer.replay(one_step(version="2.0.0")).ok


def test_a_history_after_a_refused_one_is_replayed() -> None:
    with Replayer() as replayer, new_worker(replayer, order) as worker:
        worker.use_work_item_filters()
        worker.start()
        other = one_step()
        other[1] = h.ExecutionStartedEvent(-1, NOW, "other")
        with pytest.raises(WorkerRefusedError):
            replayer.replay(other)
        assert replayer.replay(one_step()).ok


# Workers that answer by hand


@contextmanager
def connected(timeout: float = 30) -> Iterator[tuple[Replayer, Wire]]:
    """Give a replayer, and a connection to it."""
    with (
        Replayer(timeout=timeout) as replayer,
        grpc.insecure_channel(
            replayer.endpoint.removeprefix("http://"),
            options=[("grpc.use_local_subchannel_pool", 1)],
        ) as channel,
    ):
        yield replayer, Wire(channel)


@contextmanager
def replaying(
    history: list[h.HistoryEvent], timeout: float = 30, **stream: Any
) -> Iterator[tuple[Wire, Iterator[pb.WorkItem], Future[ReplayResult]]]:
    """Replay a history in the background; give a worker's connection and its work items."""
    with (
        connected(timeout) as (replayer, wire),
        ThreadPoolExecutor(1) as pool,
        wire.working(**stream) as items,
    ):
        yield wire, items, pool.submit(replayer.replay, history)


def reserve(payload: str = '"x"') -> pb.OrchestratorAction:
    action = pb.ScheduleTaskAction(name="reserve", input=StringValue(value=payload))
    return pb.OrchestratorAction(id=1, scheduleTask=action)


def answer(wire: Wire, item: pb.WorkItem, *actions: pb.OrchestratorAction, **fields: Any) -> None:
    wire.call("CompleteOrchestratorTask", response_to(item, *actions, **fields))


def test_a_worker_gets_turns_without_traces_and_nothing_else() -> None:
    with replaying(one_step()) as (wire, items, result):
        for actions in ([reserve()], []):
            item = next(items)
            request = item.orchestratorRequest
            assert request.instanceId == "run-1"
            assert request.executionId.value == "execution-1"
            assert "traceParent" not in str(request)
            wire.answer(item, *actions)
        assert result.result(30).ok
        assert len(request.pastEvents) == 3
        assert [event.WhichOneof("eventType") for event in request.newEvents] == [
            "orchestratorStarted",
            "eventRaised",
        ]


def test_an_answer_in_parts_is_put_together() -> None:
    with replaying(one_step()[:3]) as (wire, items, result):
        item = next(items)
        wire.answer(item, chunkIndex=Int32Value(value=0), isPartial=True)
        wire.answer(item, reserve(), chunkIndex=Int32Value(value=1))
        assert result.result(30).ok


def test_a_worker_that_streams_histories_fetches_that_of_the_turn() -> None:
    large = f'"{"x" * 1_200_000}"'
    capable: Any = {"capabilities": [pb.WORKER_CAPABILITY_HISTORY_STREAMING]}
    with replaying(one_step(large), **capable) as (wire, items, result):
        for number, actions in ((0, [reserve(large)]), (3, [])):
            item = next(items)
            request = item.orchestratorRequest
            assert request.requiresHistoryStreaming
            assert not request.pastEvents
            asked = pb.StreamInstanceHistoryRequest(instanceId="run-1", forWorkItemProcessing=True)
            chunks = wire.call("StreamInstanceHistory", asked)
            assert sum(len(chunk.events) for chunk in chunks) == number
            wire.answer(item, *actions)
        assert result.result(30).ok
        other = pb.StreamInstanceHistoryRequest(instanceId="run-2")
        code, _ = wire.refusal("StreamInstanceHistory", other)
        assert code is grpc.StatusCode.NOT_FOUND


def test_a_worker_that_wants_the_history_again_gets_the_turn_again() -> None:
    with replaying(one_step()[:3]) as (wire, items, result):
        wire.answer(next(items), requiresHistory=True)
        wire.answer(next(items), reserve())
        assert result.result(30).ok


def test_an_answer_to_an_earlier_turn_does_not_count() -> None:
    with replaying(one_step()) as (wire, items, result):
        first = next(items)
        wire.answer(first, reserve())
        second = next(items)
        wire.answer(first, reserve('"late"'))
        wire.answer(second)
        assert result.result(30).ok


def test_a_turn_of_a_worker_that_is_gone_goes_to_the_next_one() -> None:
    with connected() as (replayer, wire), ThreadPoolExecutor(1) as pool:
        lost = wire.stream("GetWorkItems", pb.GetWorkItemsRequest())
        result = pool.submit(replayer.replay, one_step()[:3])
        item = next(lost)
        lost.cancel()
        with wire.working() as items:
            wire.answer(next(items), reserve())
            assert result.result(30).ok
            wire.answer(item, reserve('"late"'))


def test_a_worker_that_does_not_answer_is_given_up() -> None:
    with replaying(one_step(), timeout=0.5) as (_, items, result):
        next(items)
        with pytest.raises(NoAnswerError, match=r"did not answer a turn of 'order' within 0\.5 s"):
            result.result(30)


def test_a_worker_that_never_connects_is_given_up() -> None:
    with (
        Replayer(timeout=0.2) as replayer,
        pytest.raises(NoAnswerError, match=r"No worker connected to http://.* within 0\.2 s"),
    ):
        replayer.replay(one_step())


def test_other_calls_are_unimplemented() -> None:
    with replaying(one_step()[:3]) as (wire, items, result):
        code, _ = wire.refusal("StartInstance", pb.CreateInstanceRequest(name="order"))
        assert code is grpc.StatusCode.UNIMPLEMENTED
        wire.answer(next(items), reserve())
        assert result.result(30).ok
