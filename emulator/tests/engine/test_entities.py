"""Entities: operations run in batches, one batch at a time, and locks take turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine import effects as fx
from dts_emulator.engine import entities
from dts_emulator.engine.events import SECOND, event, string_value, timestamp
from dts_emulator.engine.model import Entity
from tests.actions import completion
from tests.engine.making import NOW, failure, kinds, only, running, take_turn


def new_entity(state: str | None = None) -> Entity:
    return Entity("@counter@a", NOW, state)


def signal(operation: str = "add", given: str | None = None) -> pb.HistoryEvent:
    body = pb.EntityOperationSignaledEvent(operation=operation, input=string_value(given))
    return event(NOW, entityOperationSignaled=body)


def call(caller: str, request_id: str = "r") -> pb.HistoryEvent:
    body = pb.EntityOperationCalledEvent(
        operation="get", requestId=request_id, parentInstanceId=string_value(caller)
    )
    return event(NOW, entityOperationCalled=body)


def lock(holder: str, section: str = "s", *more: str, position: int = 0) -> pb.HistoryEvent:
    body = pb.EntityLockRequestedEvent(
        criticalSectionId=section,
        parentInstanceId=string_value(holder),
        lockSet=["@counter@a", *more],
        position=position,
    )
    return event(NOW, entityLockRequested=body)


def answer(count: int, state: str | None = "1", **fields: Any) -> pb.EntityBatchResult:
    result = pb.OperationResult(success=pb.OperationResultSuccess(result=string_value("42")))
    return pb.EntityBatchResult(results=[result] * count, entityState=string_value(state), **fields)


def test_operations_that_wait_make_one_batch_in_their_order() -> None:
    entity = new_entity()
    assert entities.operate(entity, signal("one"), NOW) == [fx.OfferBatch("@counter@a")]
    entities.operate(entity, signal("two"), NOW)
    taken = entities.take_batch(entity)
    assert [item.entityOperationSignaled.operation for item in taken] == ["one", "two"]
    assert entity.queue == []


def test_while_a_batch_runs_no_other_is_offered() -> None:
    entity = new_entity()
    entities.operate(entity, signal("one"), NOW)
    entities.take_batch(entity)
    assert entities.operate(entity, signal("two"), NOW) == []
    assert entities.settle(entity, answer(1), NOW) == [fx.OfferBatch("@counter@a")]


def test_a_batch_that_is_given_again_is_the_same() -> None:
    entity = new_entity()
    entities.operate(entity, signal("one"), NOW)
    first = list(entities.take_batch(entity))
    entities.operate(entity, signal("two"), NOW)
    assert entities.take_batch(entity) == first


def test_a_batch_holds_what_any_worker_can_receive() -> None:
    entity = new_entity()
    for _ in range(5):
        entities.operate(entity, signal(given="x" * 600_000), NOW)
    assert len(entities.take_batch(entity)) == 2
    assert len(entity.queue) == 3


def test_operations_without_a_result_come_first_in_the_next_batch() -> None:
    entity = new_entity()
    for name in ("one", "two", "three"):
        entities.operate(entity, signal(name), NOW)
    entities.take_batch(entity)
    entities.operate(entity, signal("four"), NOW)
    entities.settle(entity, answer(1), NOW)
    names = [item.entityOperationSignaled.operation for item in entities.take_batch(entity)]
    assert names == ["two", "three", "four"]


def test_a_caller_gets_its_result() -> None:
    entity = new_entity()
    entities.operate(entity, call("caller", "r1"), NOW)
    entities.take_batch(entity)
    reply = only(entities.settle(entity, answer(1), NOW), fx.DeliverEvent)[0]
    assert (reply.instance_id, reply.key) == ("caller", "r1")
    assert reply.event.entityOperationCompleted.output.value == "42"


def test_a_caller_hears_of_a_failure_with_its_details() -> None:
    entity = new_entity()
    entities.operate(entity, call("caller", "r1"), NOW)
    entities.take_batch(entity)
    failed = pb.OperationResult(failure=pb.OperationResultFailure(failureDetails=failure("no")))
    batch = pb.EntityBatchResult(results=[failed])
    reply = only(entities.settle(entity, batch, NOW), fx.DeliverEvent)[0]
    assert reply.event.entityOperationFailed.failureDetails.errorMessage == "no"


def test_an_entity_without_state_lock_and_work_is_empty() -> None:
    entity = new_entity("1")
    entities.operate(entity, signal("delete"), NOW)
    entities.take_batch(entity)
    entities.settle(entity, answer(1, state=None), NOW)
    assert entity.is_empty


def test_the_lock_is_granted_to_the_orchestration_that_asks_first() -> None:
    entity = new_entity()
    granted = only(entities.operate(entity, lock("first", "s1"), NOW), fx.DeliverEvent)[0]
    assert (granted.instance_id, granted.key) == ("first", "s1")
    assert entities.operate(entity, lock("second", "s2"), NOW) == []
    assert entity.locked_by == "first"


def test_while_locked_only_the_holders_calls_run() -> None:
    entity = new_entity()
    entities.operate(entity, lock("holder"), NOW)
    assert entities.operate(entity, signal(), NOW) == []
    assert entities.operate(entity, call("stranger"), NOW) == []
    assert entities.operate(entity, call("holder"), NOW) == [fx.OfferBatch("@counter@a")]
    assert kinds(entities.take_batch(entity)) == ["entityOperationCalled"]
    assert len(entity.queue) == 2


def test_operations_before_a_request_for_the_lock_run_before_it_is_granted() -> None:
    entity = new_entity()
    entities.operate(entity, signal(), NOW)
    assert only(entities.operate(entity, lock("holder"), NOW), fx.DeliverEvent) == []
    entities.take_batch(entity)
    effects = entities.settle(entity, answer(1), NOW)
    assert only(effects, fx.DeliverEvent)[0].event.HasField("entityLockGranted")


def test_a_lock_of_several_entities_goes_from_one_to_the_next() -> None:
    entity = new_entity()
    effects = entities.operate(entity, lock("holder", "s", "@counter@b"), NOW)
    onward = only(effects, fx.DeliverToEntity)[0]
    assert onward.entity_id == "@counter@b"
    assert onward.event.entityLockRequested.position == 1
    assert only(effects, fx.DeliverEvent) == []


def test_the_end_of_a_critical_section_lets_the_next_one_in() -> None:
    entity = new_entity()
    entities.operate(entity, lock("first", "s1"), NOW)
    entities.operate(entity, lock("second", "s2"), NOW)
    granted = only(entities.unlock(entity, "s1", NOW), fx.DeliverEvent)[0]
    assert granted.instance_id == "second"


def test_a_request_that_is_given_up_is_never_granted() -> None:
    entity = new_entity()
    entities.operate(entity, lock("first", "s1"), NOW)
    entities.operate(entity, lock("gone", "s2"), NOW)
    entities.unlock(entity, "s2", NOW)
    assert entities.unlock(entity, "s1", NOW) == []
    assert entity.is_empty


def test_an_end_of_another_critical_section_leaves_the_lock() -> None:
    entity = new_entity()
    entities.operate(entity, lock("holder", "s"), NOW)
    entities.unlock(entity, "another", NOW)
    assert entity.locked_by == "holder"


def asking(kind: str, message: Any) -> pb.OrchestratorAction:
    request = pb.SendEntityMessageAction(**{kind: message})
    return pb.OrchestratorAction(id=1, sendEntityMessage=request)


def test_an_orchestration_that_ends_gives_its_locks_back() -> None:
    request = pb.EntityLockRequestedEvent(criticalSectionId="s", lockSet=["@a@1", "@b@2"])
    instance = running(asking("entityLockRequested", request))
    effects = take_turn(instance, completion())
    assert only(effects, fx.Unlock) == [fx.Unlock("@a@1", "s"), fx.Unlock("@b@2", "s")]


def test_locks_that_were_asked_for_under_one_id_are_all_given_back() -> None:
    requests = [
        pb.EntityLockRequestedEvent(criticalSectionId="s", lockSet=[entity_id])
        for entity_id in ("@a@1", "@b@2")
    ]
    instance = running(*(asking("entityLockRequested", request) for request in requests))
    effects = take_turn(instance, completion())
    assert only(effects, fx.Unlock) == [fx.Unlock("@a@1", "s"), fx.Unlock("@b@2", "s")]


def test_a_call_tells_the_entity_who_calls() -> None:
    called = pb.EntityOperationCalledEvent(
        requestId="r", operation="get", targetInstanceId=string_value("@a@1")
    )
    instance = running()
    message = only(
        take_turn(instance, asking("entityOperationCalled", called)), fx.DeliverToEntity
    )[0]
    body = message.event.entityOperationCalled
    assert body.parentInstanceId.value == "id"
    assert body.parentExecutionId.value == instance.execution_id


def test_a_signal_for_later_waits_outside_the_entity() -> None:
    later = pb.EntityOperationSignaledEvent(
        operation="add",
        targetInstanceId=string_value("@a@1"),
        scheduledTime=timestamp(NOW + SECOND),
    )
    effects = take_turn(running(), asking("entityOperationSignaled", later))
    assert only(effects, fx.DeliverToEntity) == []
    due = only(effects, fx.SetTimer)[0].timer
    assert (due.due, due.target) == (NOW + SECOND, "@a@1")


@pytest.mark.parametrize("bad_id", ["x", "@@key", "@name", "@a@" + "k" * 100])
def test_a_message_to_what_is_no_entity_fails_the_orchestration(bad_id: str) -> None:
    signalled = pb.EntityOperationSignaledEvent(
        operation="x", targetInstanceId=string_value(bad_id)
    )
    instance = running(asking("entityOperationSignaled", signalled))
    assert instance.status == pb.ORCHESTRATION_STATUS_FAILED


class _Counting(list[pb.HistoryEvent]):
    """A queue that counts how many of its items are looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[pb.HistoryEvent]:
        for item in super().__iter__():
            self.looked_at += 1
            yield item


@pytest.mark.parametrize("locked_by", [None, "holder"])
def test_a_signal_costs_the_same_however_many_wait(locked_by: str | None) -> None:
    entity = new_entity()
    entity.locked_by, entity.critical_section = locked_by, locked_by and "s"
    entity.queue = queue = _Counting([signal() for _ in range(20_000)])
    effects = entities.operate(entity, signal(), NOW)
    assert queue.looked_at <= 1
    assert effects == ([] if locked_by else [fx.OfferBatch(entity.entity_id)])


def test_a_call_of_the_locks_holder_runs_before_the_signals_that_wait() -> None:
    entity = new_entity()
    entity.locked_by, entity.critical_section = "holder", "s"
    entity.queue = [signal() for _ in range(3)]
    offered = entities.operate(entity, call("holder"), NOW)
    assert offered == [fx.OfferBatch(entity.entity_id)]
    assert entities.take_batch(entity) == [call("holder")]


def test_an_entity_signals_another_and_starts_an_orchestration() -> None:
    entity = new_entity()
    entities.operate(entity, signal(), NOW)
    entities.take_batch(entity)
    actions = [
        pb.OperationAction(sendSignal=pb.SendSignalAction(instanceId="@b@1", name="add")),
        pb.OperationAction(
            startNewOrchestration=pb.StartNewOrchestrationAction(
                name="o", version=string_value("2")
            )
        ),
    ]
    effects = entities.settle(entity, answer(1, actions=actions), NOW)
    assert only(effects, fx.DeliverToEntity)[0].entity_id == "@b@1"
    begin = only(effects, fx.StartDetached)[0].started
    assert (begin.name, begin.version.value) == ("o", "2")
    assert len(begin.orchestrationInstance.instanceId) == 32
