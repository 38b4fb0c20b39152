"""Five orchestrators, and changes to their code: some fit the histories they have left.

A change is registered as `orchestrator/change`, so that one worker knows all of them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from durabletask import task
from durabletask.entities import EntityInstanceId

Steps = Generator[Any, Any, Any]
Context = task.OrchestrationContext

logger = logging.getLogger("tests.replay")

RETRIES = task.RetryPolicy(first_retry_interval=timedelta(seconds=5), max_number_of_attempts=3)


@dataclass(frozen=True)
class Change:
    """A changed orchestrator; `differs` is part of the difference's text, None where it fits."""

    name: str
    code: Callable[..., Any]
    history: str
    differs: str | None

    @property
    def registered_as(self) -> str:
        return self.code.__name__


CHANGES: list[Change] = []


def change(history: str, differs: str | None = None) -> Callable[[Any], Any]:
    """Note a function as a change to the orchestrator whose recorded history is named.

    A history's name is its orchestrator's, with what makes it special behind a dash.
    """

    def note(code: Any) -> Any:
        name = code.__name__
        code.__name__ = f"{history}/{name}"
        CHANGES.append(Change(name, code, history, differs))
        return code

    return note


# Activities and entities


def reserve(_: Any, order: str) -> str:
    return f"r-{order}"


def charge(_: Any, what: dict[str, str]) -> str:
    return f"c-{what['order']}"


def ship(_: Any, charged: str) -> None:
    return None


def plus(_: Any, numbers: list[int]) -> int:
    return sum(numbers)


def balance(entity: Any, amount: int) -> int:
    total = int(entity.get_state(int, 0)) + (amount or 0)
    entity.set_state(total)
    return total


# A chain of activities


def chain(ctx: Context, order: str) -> Steps:
    reservation = yield ctx.call_activity("reserve", input=order)
    charged = yield ctx.call_activity("charge", input={"order": order, "by": reservation})
    yield ctx.call_activity("ship", input=charged)
    return {"order": order, "charge": charged}


@change("chain")
def logs_and_renames(ctx: Context, the_order: str) -> Steps:
    """Do the same, and say so."""
    log = ctx.create_replay_safe_logger(logger)
    log.info("reserving")
    first = yield ctx.call_activity("reserve", input=the_order)
    second = yield ctx.call_activity("charge", input={"order": the_order, "by": first})
    log.info("shipping")
    yield ctx.call_activity("ship", input=second)
    return {"order": the_order, "charge": second}


@change("chain")
def in_a_helper(ctx: Context, order: str) -> Steps:
    def pay() -> Steps:
        reservation = yield ctx.call_activity("reserve", input=order)
        return (yield ctx.call_activity("charge", input={"order": order, "by": reservation}))

    charged = yield from pay()
    yield ctx.call_activity("ship", input=charged)
    return {"order": order, "charge": charged}


@change("chain")
def other_order_of_keys(ctx: Context, order: str) -> Steps:
    reservation = yield ctx.call_activity("reserve", input=order)
    charged = yield ctx.call_activity("charge", input={"by": reservation, "order": order})
    yield ctx.call_activity("ship", input=charged)
    return {"charge": charged, "order": order}


@change("chain")
def custom_status_and_unused_id(ctx: Context, order: str) -> Steps:
    ctx.set_custom_status("started")
    ctx.new_uuid()
    return (yield from chain(ctx, order))


@change("chain")
def retries_that_were_not_needed(ctx: Context, order: str) -> Steps:
    reservation = yield ctx.call_activity("reserve", input=order, retry_policy=RETRIES)
    charged = yield ctx.call_activity("charge", input={"order": order, "by": reservation})
    yield ctx.call_activity("ship", input=charged)
    return {"order": order, "charge": charged}


@change("chain", "turn 2, step 2\n  recorded: activity charge(")
def renamed_activity(ctx: Context, order: str) -> Steps:
    reservation = yield ctx.call_activity("reserve", input=order)
    charged = yield ctx.call_activity("bill", input={"order": order, "by": reservation})
    yield ctx.call_activity("ship", input=charged)
    return {"order": order, "charge": charged}


@change("chain", 'now:      activity charge({"order": "7", "by": "r-7", "currency": "EUR"})')
def other_input(ctx: Context, order: str) -> Steps:
    reservation = yield ctx.call_activity("reserve", input=order)
    details = {"order": order, "by": reservation, "currency": "EUR"}
    charged = yield ctx.call_activity("charge", input=details)
    yield ctx.call_activity("ship", input=charged)
    return {"order": order, "charge": charged}


@change(
    "chain", 'turn 1, step 1\n  recorded: activity reserve("7")\n  now:      activity audit("7")'
)
def step_before(ctx: Context, order: str) -> Steps:
    yield ctx.call_activity("audit", input=order)
    return (yield from chain(ctx, order))


@change("chain", "turn 2, step 2\n")
def step_between(ctx: Context, order: str) -> Steps:
    reservation = yield ctx.call_activity("reserve", input=order)
    yield ctx.call_activity("audit", input=reservation)
    charged = yield ctx.call_activity("charge", input={"order": order, "by": reservation})
    yield ctx.call_activity("ship", input=charged)
    return {"order": order, "charge": charged}


@change("chain", "step 4\n  recorded: end: completed with {")
def step_after(ctx: Context, order: str) -> Steps:
    result = yield from chain(ctx, order)
    yield ctx.call_activity("audit", input=order)
    return result


@change("chain", "turn 1, step 2\n  recorded: nothing\n  now:      activity audit(")
def step_beside(ctx: Context, order: str) -> Steps:
    first = ctx.call_activity("reserve", input=order)
    ctx.call_activity("audit", input=order)
    reservation = yield first
    charged = yield ctx.call_activity("charge", input={"order": order, "by": reservation})
    yield ctx.call_activity("ship", input=charged)
    return {"order": order, "charge": charged}


@change("chain", "step 2\n  recorded: activity charge(")
def removed_step(ctx: Context, order: str) -> Steps:
    reservation = yield ctx.call_activity("reserve", input=order)
    yield ctx.call_activity("ship", input=reservation)
    return {"order": order, "charge": None}


@change("chain", 'turn 3, step 3\n  recorded: activity ship("c-7")\n  now:      end: completed')
def early_return(ctx: Context, order: str) -> Steps:
    reservation = yield ctx.call_activity("reserve", input=order)
    charged = yield ctx.call_activity("charge", input={"order": order, "by": reservation})
    return {"order": order, "charge": charged}


@change("chain", "turn 1, step 1\n  recorded: activity reserve")
def reordered(ctx: Context, order: str) -> Steps:
    charged = yield ctx.call_activity("charge", input={"order": order, "by": ""})
    yield ctx.call_activity("reserve", input=order)
    yield ctx.call_activity("ship", input=charged)
    return {"order": order, "charge": charged}


@change("chain", 'now:      end: completed with ["7", "c-7"]')
def other_result(ctx: Context, order: str) -> Steps:
    result = yield from chain(ctx, order)
    return list(result.values())


@change("chain", "now:      end: failed with ValueError: too late")
def fails_at_the_end(ctx: Context, order: str) -> Steps:
    yield from chain(ctx, order)
    raise ValueError("too late")


@change("chain", 'now:      sub-orchestration reserve("7") as ')
def child_instead_of_activity(ctx: Context, order: str) -> Steps:
    yield ctx.call_sub_orchestrator("reserve", input=order)


@change("chain", 'turn 1, step 1\n  recorded: activity reserve("7")\n  now:      end: completed')
def does_nothing(ctx: Context, order: str) -> str:
    return order


@change("chain", "now:      nothing")
def waits_for_ever(ctx: Context, order: str) -> Steps:
    reservation = yield ctx.call_activity("reserve", input=order)
    yield ctx.wait_for_external_event("never")
    return reservation


@change("chain-running")
def running_early_result(ctx: Context, order: str) -> Steps:
    yield from chain(ctx, order)
    return "another result: no turn has returned one yet"


@change("chain-running")
def running_later_step(ctx: Context, order: str) -> Steps:
    result = yield from chain(ctx, order)
    yield ctx.call_activity("audit", input=order)
    return result


@change("chain-running", "turn 2, step 2\n  recorded: activity charge(")
def running_early_return(ctx: Context, order: str) -> Steps:
    return (yield ctx.call_activity("reserve", input=order))


# Retries of an activity that has failed twice


def retried(ctx: Context, key: str) -> Steps:
    first = yield ctx.call_activity("fail_twice", input=key, retry_policy=RETRIES)
    return (yield ctx.call_activity("reserve", input=first))


@change("retried")
def more_attempts(ctx: Context, key: str) -> Steps:
    policy = task.RetryPolicy(first_retry_interval=timedelta(seconds=5), max_number_of_attempts=9)
    first = yield ctx.call_activity("fail_twice", input=key, retry_policy=policy)
    return (yield ctx.call_activity("reserve", input=first))


@change("retried", "turn 2, step 2\n  recorded: timer until ")
def slower_retries(ctx: Context, key: str) -> Steps:
    policy = task.RetryPolicy(first_retry_interval=timedelta(seconds=6), max_number_of_attempts=3)
    first = yield ctx.call_activity("fail_twice", input=key, retry_policy=policy)
    return (yield ctx.call_activity("reserve", input=first))


@change("retried", "now:      end: failed with TaskFailedError")
def fewer_attempts(ctx: Context, key: str) -> Steps:
    policy = task.RetryPolicy(first_retry_interval=timedelta(seconds=5), max_number_of_attempts=2)
    first = yield ctx.call_activity("fail_twice", input=key, retry_policy=policy)
    return (yield ctx.call_activity("reserve", input=first))


@change("retried", "turn 2, step 2\n  recorded: timer until ")
def no_retries(ctx: Context, key: str) -> Steps:
    first = yield ctx.call_activity("fail_twice", input=key)
    return (yield ctx.call_activity("reserve", input=first))


# Sub-orchestrations


def region(ctx: Context, name: str) -> Steps:
    return (yield ctx.call_activity("reserve", input=name))


def children(ctx: Context, names: list[str]) -> Steps:
    parts = [ctx.call_sub_orchestrator("region", input=name) for name in names]
    results = yield task.when_all(parts)
    return ", ".join(results)


@change("children")
def one_by_one_in_a_loop(ctx: Context, names: list[str]) -> Steps:
    parts = []
    for name in names:
        parts.append(ctx.call_sub_orchestrator("region", input=name))
    return ", ".join((yield task.when_all(parts)))


@change("children", 'step 1\n  recorded: sub-orchestration region("north") as ')
def ids_of_our_own(ctx: Context, names: list[str]) -> Steps:
    parts = [
        ctx.call_sub_orchestrator("region", input=name, instance_id=f"{ctx.instance_id}-{name}")
        for name in names
    ]
    return ", ".join((yield task.when_all(parts)))


@change("children", 'now:      sub-orchestration area("north") as ')
def renamed_child(ctx: Context, names: list[str]) -> Steps:
    parts = [ctx.call_sub_orchestrator("area", input=name) for name in names]
    return ", ".join((yield task.when_all(parts)))


@change("children", 'step 2\n  recorded: sub-orchestration region("south") as ')
def other_input_of_a_child(ctx: Context, names: list[str]) -> Steps:
    parts = [ctx.call_sub_orchestrator("region", input=name.strip("s")) for name in names]
    return ", ".join((yield task.when_all(parts)))


@change("children", "in version 2")
def version_of_a_child(ctx: Context, names: list[str]) -> Steps:
    parts = [ctx.call_sub_orchestrator("region", input=name, version="2") for name in names]
    return ", ".join((yield task.when_all(parts)))


@change("children", "turn 1, step 2\n  recorded: sub-orchestration region")
def one_after_the_other(ctx: Context, names: list[str]) -> Steps:
    results = []
    for name in names:
        results.append((yield ctx.call_sub_orchestrator("region", input=name)))
    return ", ".join(results)


@change("children", "turn 1, step 1\n")
def reversed_children(ctx: Context, names: list[str]) -> Steps:
    parts = [ctx.call_sub_orchestrator("region", input=name) for name in reversed(names)]
    return ", ".join((yield task.when_all(parts)))


@change("children", "turn 1, step 3\n  recorded: nothing\n")
def another_child(ctx: Context, names: list[str]) -> Steps:
    parts = [ctx.call_sub_orchestrator("region", input=name) for name in [*names, "west"]]
    return ", ".join((yield task.when_all(parts)))


@change("children-part")
def part_refactored(ctx: Context, name: str) -> Steps:
    result = yield ctx.call_activity("reserve", input=name)
    return result


@change("children-part", "now:      end: completed with ")
def part_with_another_result(ctx: Context, name: str) -> Steps:
    return [(yield ctx.call_activity("reserve", input=name))]


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
def more_patience(ctx: Context, request: str) -> Steps:
    answer = ctx.wait_for_external_event("answer")
    yield task.when_any([answer, ctx.create_timer(timedelta(days=2, seconds=1))])
    return answer.get_result()


@change("approval-answered", "turn 2, step 2\n  recorded: timer until ")
def other_event(ctx: Context, request: str) -> Steps:
    answer = ctx.wait_for_external_event("reply")
    yield task.when_any([answer, ctx.create_timer(timedelta(days=2))])
    yield ctx.create_timer(timedelta(hours=1))
    return answer.get_result()


@change("approval-answered", "turn 1, step 1\n  recorded: timer until ")
def event_instead_of_timer(ctx: Context, request: str) -> Steps:
    answer = yield ctx.wait_for_external_event("answer")
    yield ctx.create_timer(timedelta(hours=1))
    return answer


@change("approval-answered", "turn 2, step 2\n  recorded: timer until ")
def timer_instead_of_event(ctx: Context, request: str) -> Steps:
    yield ctx.create_timer(timedelta(days=2))
    yield ctx.create_timer(timedelta(hours=1))
    return "yes"


@change("approval-answered", "now:      event done({")
def other_data(ctx: Context, request: str) -> Steps:
    answer = ctx.wait_for_external_event("answer")
    yield task.when_any([answer, ctx.create_timer(timedelta(days=2))])
    yield ctx.create_timer(timedelta(hours=1))
    ctx.send_event("archive", "done", data={"request": request, "answer": answer.get_result()})
    return answer.get_result()


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


@change("approval-late", 'recorded: end: completed with "timed out"')
def fails_when_late(ctx: Context, request: str) -> Steps:
    answer = ctx.wait_for_external_event("answer")
    yield task.when_any([answer, ctx.create_timer(timedelta(days=2))])
    raise TimeoutError("late")


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


@change("transfer", "now:      entity call @balance@a add(")
def no_lock(ctx: Context, amount: int) -> Steps:
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


@change("transfer", "entity lock of ")
def id_before_the_lock(ctx: Context, amount: int) -> Steps:
    ctx.new_uuid()
    return (yield from transfer(ctx, amount))


@change("transfer", "now:      entity call @balance@a subtract(5)")
def other_operation(ctx: Context, amount: int) -> Steps:
    with (yield ctx.lock_entities([SOURCE, TARGET])):
        left = yield ctx.call_entity(SOURCE, "subtract", amount)
        yield ctx.call_entity(TARGET, "add", amount)
    return left


@change("transfer", "now:      entity call @balance@b add(-5)")
def other_entity(ctx: Context, amount: int) -> Steps:
    with (yield ctx.lock_entities([SOURCE, TARGET])):
        left = yield ctx.call_entity(TARGET, "add", -amount)
        yield ctx.call_entity(SOURCE, "add", amount)
    return left


@change("transfer", "now:      entity call @balance@b add(4)")
def other_input_of_an_operation(ctx: Context, amount: int) -> Steps:
    with (yield ctx.lock_entities([SOURCE, TARGET])):
        left = yield ctx.call_entity(SOURCE, "add", -amount)
        yield ctx.call_entity(TARGET, "add", amount - 1)
    ctx.signal_entity(JOURNAL, "add", 1)
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
def one_call_for_the_end(ctx: Context, total: int) -> Steps:
    total = yield ctx.call_activity(
        "plus", input=[total, (yield ctx.wait_for_external_event("number"))]
    )
    if total < 6:
        return ctx.continue_as_new(total, save_events=True)
    return total


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


@change("counter", "now:      activity plus([3, 3, 0])")
def other_sum(ctx: Context, total: int) -> Steps:
    number = yield ctx.wait_for_external_event("number")
    return (yield ctx.call_activity("plus", input=[total, number, 0]))


@change("counter", "step 1\n  recorded: activity plus([3, 3])\n  now:      nothing")
def waits_for_two(ctx: Context, total: int) -> Steps:
    numbers = [ctx.wait_for_external_event("number") for _ in range(2)]
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
