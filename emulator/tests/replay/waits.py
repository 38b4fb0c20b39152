"""Orchestrators that wait for timers, events and entities, and changes to them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from durabletask import task
from durabletask.entities import EntityInstanceId

from tests.replay.programme import Context, Steps, change

# Timers and events


def approval(ctx: Context, request: str) -> Steps:
    answer = ctx.wait_for_external_event("answer")
    patience = ctx.create_timer(timedelta(days=2))
    winner = yield task.when_any([answer, patience])
    if winner is patience:
        return "timed out"
    yield ctx.create_timer(timedelta(hours=1))
    ctx.send_event("archive", "done", data={"request": request})
    return answer.get_result()


@change("approval-answered")
def timer_first(ctx: Context, request: str) -> Steps:
    patience = ctx.create_timer(timedelta(hours=48))
    answer = ctx.wait_for_external_event("ANSWER")
    if (yield task.when_any([answer, patience])) is patience:
        return "timed out"
    yield ctx.create_timer(timedelta(minutes=60))
    ctx.send_event("archive", "done", data=json.loads(json.dumps({"request": request})))
    return answer.get_result()


@change("approval-answered", "turn 1, step 1\n  recorded: timer until ")
def event_instead_of_timer(ctx: Context, request: str) -> Steps:
    answer = yield ctx.wait_for_external_event("answer")
    yield ctx.create_timer(timedelta(hours=1))
    return answer


@change("approval-answered", 'now:      event done({"request": "r"}) to attic')
def other_target(ctx: Context, request: str) -> Steps:
    answer = ctx.wait_for_external_event("answer")
    yield task.when_any([answer, ctx.create_timer(timedelta(days=2))])
    yield ctx.create_timer(timedelta(hours=1))
    ctx.send_event("attic", "done", data={"request": request})
    return answer.get_result()


@change("approval-late")
def other_event_that_never_came(ctx: Context, request: str) -> Steps:
    answer = ctx.wait_for_external_event("reply")
    yield task.when_any([answer, ctx.create_timer(timedelta(days=2))])
    return "timed out"


@change("approval-waiting")
def other_event_still_awaited(ctx: Context, request: str) -> Steps:
    answer = ctx.wait_for_external_event("reply")
    yield task.when_any([answer, ctx.create_timer(timedelta(days=2))])
    return "no turn has told the two apart yet"


@change("approval-waiting", "recorded: timer until ")
def no_patience(ctx: Context, request: str) -> Steps:
    return (yield ctx.wait_for_external_event("answer"))


# Entities and locks

SOURCE, TARGET = EntityInstanceId("balance", "a"), EntityInstanceId("balance", "b")
JOURNAL = EntityInstanceId("balance", "journal")


def transfer(ctx: Context, amount: int) -> Steps:
    with (yield ctx.lock_entities([SOURCE, TARGET])):
        left = yield ctx.call_entity(SOURCE, "add", -amount)
        yield ctx.call_entity(TARGET, "add", amount)
    ctx.signal_entity(JOURNAL, "add", 1)
    return left


@change("transfer")
def other_order_of_locks(ctx: Context, amount: int) -> Steps:
    with (yield ctx.lock_entities([TARGET, SOURCE])):
        left = yield ctx.call_entity(SOURCE, "add", -amount)
        yield ctx.call_entity(TARGET, "add", amount)
    ctx.signal_entity(JOURNAL, "add", 1)
    return left


@change("transfer", "recorded: entity lock of @balance@a, @balance@b ")
def one_lock_less(ctx: Context, amount: int) -> Steps:
    with (yield ctx.lock_entities([SOURCE])):
        left = yield ctx.call_entity(SOURCE, "add", -amount)
    yield ctx.call_entity(TARGET, "add", amount)
    return left


@change("transfer", "recorded: entity signal @balance@journal add(1)")
def no_signal(ctx: Context, amount: int) -> Steps:
    with (yield ctx.lock_entities([SOURCE, TARGET])):
        left = yield ctx.call_entity(SOURCE, "add", -amount)
        yield ctx.call_entity(TARGET, "add", amount)
    return left


@change("transfer", "recorded: entity unlock of @balance@a ")
def keeps_the_lock_for_longer(ctx: Context, amount: int) -> Steps:
    with (yield ctx.lock_entities([SOURCE, TARGET])):
        left = yield ctx.call_entity(SOURCE, "add", -amount)
        yield ctx.call_entity(TARGET, "add", amount)
        yield ctx.create_timer(timedelta(seconds=1))
    ctx.signal_entity(JOURNAL, "add", 1)
    return left


# Continue-as-new


def counter(ctx: Context, total: int) -> Steps:
    number = yield ctx.wait_for_external_event("number")
    total = yield ctx.call_activity("plus", input=[total, number])
    if total >= 6:
        return total
    ctx.continue_as_new(total, save_events=True)
    return None


@change("counter")
def other_way_of_continuing(ctx: Context, total: int) -> Steps:
    number = yield ctx.wait_for_external_event("number")
    total = yield ctx.call_activity("plus", input=[total, number])
    if total < 6:
        ctx.continue_as_new({"total": total})
        return None
    return total


@change("counter", "recorded: end: completed with 6\n  now:      end: continued as new with 6")
def counts_further(ctx: Context, total: int) -> Steps:
    number = yield ctx.wait_for_external_event("number")
    total = yield ctx.call_activity("plus", input=[total, number])
    ctx.continue_as_new(total, save_events=True)


@change("counter", "step 1\n  recorded: activity plus([3, 3])\n  now:      nothing")
def waits_for_two(ctx: Context, total: int) -> Steps:
    numbers: list[Any] = [ctx.wait_for_external_event("number") for _ in range(2)]
    return (yield ctx.call_activity("plus", input=[total, *(yield task.when_all(numbers))]))


@change("counter-running")
def ends_later(ctx: Context, total: int) -> Steps:
    number = yield ctx.wait_for_external_event("number")
    total = yield ctx.call_activity("plus", input=[total, number])
    return total if total > 100 else ctx.continue_as_new(total)


@change("counter-running", "recorded: nothing\n  now:      timer until ")
def timer_before_the_event(ctx: Context, total: int) -> Steps:
    yield ctx.create_timer(timedelta(seconds=1))
    return (yield ctx.wait_for_external_event("number"))
