"""Programs written with the SDK behave as on the real scheduler: entities."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from durabletask import task
from durabletask.client import EntityQuery, TaskHubGrpcClient
from durabletask.entities import DurableEntity, EntityInstanceId

from tests.parts import GATES
from tests.processes import PATIENCE_SECONDS, wait_until
from tests.programs import (
    output_of,
    run,
)

# The gates that an entity's operations have reached.
AT_GATE: set[str] = set()


class Account(DurableEntity):
    """An amount of money, moved by signals, calls and orchestrations that hold its lock."""

    def add(self, amount: int) -> int:
        balance = int(self.get_state(int, 0)) + amount
        self.set_state(balance)
        return balance

    def balance(self, _: Any = None) -> int:
        return int(self.get_state(int, 0))

    def refuse(self, reason: str) -> None:
        self.set_state(-1)
        raise ValueError(reason)

    def forward(self, other: str) -> None:
        self.signal_entity(EntityInstanceId("account", other), "add", 7)

    def audit(self, instance_id: str) -> None:
        self.schedule_new_orchestration("auditing", "audited", instance_id=instance_id)

    def pass_gate(self, gate: str) -> str:
        AT_GATE.add(gate)
        assert GATES[gate].wait(PATIENCE_SECONDS)
        return gate


def calling(ctx: task.OrchestrationContext, key: str) -> Any:
    account = EntityInstanceId("account", key)
    ctx.signal_entity(account, "add", 1)
    yield ctx.call_entity(account, "add", 2)
    return (yield ctx.call_entity(account, "balance"))


def call_and_fail(ctx: task.OrchestrationContext, key: str) -> Any:
    account = EntityInstanceId("account", key)
    yield ctx.call_entity(account, "add", 5)
    try:
        yield ctx.call_entity(account, "refuse", "not today")
    except Exception as error:
        return [str(error), (yield ctx.call_entity(account, "balance"))]


def at_gate(ctx: task.OrchestrationContext, gate: str) -> Any:
    return (yield ctx.call_entity(EntityInstanceId("account", gate), "pass_gate", gate))


def moving(ctx: task.OrchestrationContext, accounts: list[str]) -> Any:
    """Move money between two accounts; whoever reads a balance in between would lose some."""
    source, target = (EntityInstanceId("account", key) for key in accounts)
    with (yield ctx.lock_entities([source, target])):
        before = yield ctx.call_entity(source, "balance")
        yield ctx.create_timer(timedelta(milliseconds=20))
        after = yield ctx.call_entity(source, "add", -1)
        yield ctx.call_entity(target, "add", 1)
    return before - after


def holding(ctx: task.OrchestrationContext, key: str) -> Any:
    with (yield ctx.lock_entities([EntityInstanceId("account", key)])):
        ctx.set_custom_status("locked")
        yield ctx.wait_for_external_event("release")


def wanting(ctx: task.OrchestrationContext, key: str) -> Any:
    with (yield ctx.lock_entities([EntityInstanceId("account", key)])):
        return "got it"


@pytest.fixture
def key() -> str:
    """Give the key of an account that no other test uses."""
    return uuid.uuid4().hex


def balance(client: TaskHubGrpcClient, key: str) -> int | None:
    metadata = client.get_entity(EntityInstanceId("account", key))
    return metadata.get_typed_state(int) if metadata is not None else None


def signal(client: TaskHubGrpcClient, key: str, operation: str, *arguments: Any) -> None:
    client.signal_entity(EntityInstanceId("account", key), operation, *arguments)


def schedule_holder(client: TaskHubGrpcClient, key: str) -> str:
    """Schedule an orchestration that locks an account, and wait until it does."""
    instance_id = client.schedule_new_orchestration(holding, input=key)

    def has_locked() -> bool:
        state = client.get_orchestration_state(instance_id)
        return state is not None and state.serialized_custom_status is not None

    wait_until(has_locked, "the entity is locked")
    return instance_id


def test_an_orchestration_signals_and_calls_an_entity(client: TaskHubGrpcClient, key: str) -> None:
    assert run(client, calling, input=key) == 3
    assert balance(client, key) == 3


def test_a_failed_operation_fails_for_its_caller_and_changes_nothing(
    client: TaskHubGrpcClient, key: str
) -> None:
    message, balance = run(client, call_and_fail, input=key)
    assert "not today" in message
    assert balance == 5


def test_signals_are_processed_once_each(client: TaskHubGrpcClient, key: str) -> None:
    for _ in range(200):
        signal(client, key, "add", 1)
    wait_until(lambda: balance(client, key) == 200, "200 signals are processed")


def test_a_delayed_signal_arrives_at_its_time(client: TaskHubGrpcClient, key: str) -> None:
    due = datetime.now(timezone.utc) + timedelta(milliseconds=500)
    signal(client, key, "add", 4, due)
    wait_until(lambda: balance(client, key) == 4, "the signal arrives")
    assert datetime.now(timezone.utc) >= due


def test_contending_orchestrations_hold_the_locks_one_after_the_other(
    client: TaskHubGrpcClient, key: str
) -> None:
    accounts = [f"{key}-a", f"{key}-b"]
    ids = [
        client.schedule_new_orchestration(moving, input=accounts[:: 1 if n % 2 else -1])
        for n in range(6)
    ]
    assert [output_of(client, instance_id) for instance_id in ids] == [1] * 6
    assert [balance(client, account) for account in accounts] == [0, 0]


def test_a_locked_entity_makes_others_wait(client: TaskHubGrpcClient, key: str) -> None:
    holder = schedule_holder(client, key)
    signal(client, key, "add", 1)
    waiting = client.schedule_new_orchestration(wanting, input=key)
    with pytest.raises(TimeoutError):
        client.wait_for_orchestration_completion(waiting, timeout=0.3)
    assert balance(client, key) is None
    client.raise_orchestration_event(holder, "release")
    assert output_of(client, waiting) == "got it"
    wait_until(lambda: balance(client, key) == 1, "the signal is processed after the lock")


def test_a_query_lists_entities_by_prefix_and_in_pages(client: TaskHubGrpcClient, key: str) -> None:
    for n in range(5):
        signal(client, f"{key}-{n}", "add", n)
    query = EntityQuery(instance_id_starts_with=f"@account@{key}", page_size=2)

    def states() -> list[int | None]:
        return [entity.get_typed_state(int) for entity in client.get_all_entities(query)]

    wait_until(lambda: states() == [0, 1, 2, 3, 4], "all five are listed with their states")


def found(client: TaskHubGrpcClient, key: str, *, include_transient: bool) -> int:
    query = EntityQuery(f"@account@{key}", include_transient=include_transient)
    return len(client.get_all_entities(query))


def test_nothing_is_left_of_an_entity_that_is_deleted(client: TaskHubGrpcClient, key: str) -> None:
    signal(client, key, "add", 1)
    wait_until(lambda: balance(client, key) == 1, "the entity has state")
    signal(client, key, "delete")
    wait_until(lambda: not found(client, key, include_transient=True), "the entity is gone")
