"""Orchestrators of activities and sub-orchestrations, and changes to them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from durabletask import task

from tests.replay.programme import RETRIES, Context, Steps, change, logger

# A chain of activities


def chain(ctx: Context, order: str) -> Steps:
    reservation = yield ctx.call_activity("reserve", input=order)
    charged = yield ctx.call_activity("charge", input={"order": order, "by": reservation})
    yield ctx.call_activity("ship", input=charged)
    return {"order": order, "charge": charged}


@change("chain")
def rewritten(ctx: Context, the_order: str) -> Steps:
    """Do the same in other ways: what is logged, named, tried again, or in which order is free."""
    log = ctx.create_replay_safe_logger(logger)
    log.info("reserving")
    ctx.set_custom_status("started")
    ctx.new_uuid()

    def pay() -> Steps:
        first = yield ctx.call_activity("reserve", input=the_order, retry_policy=RETRIES)
        return (yield ctx.call_activity("charge", input={"by": first, "order": the_order}))

    charged = yield from pay()
    yield ctx.call_activity("ship", input=charged)
    return {"charge": charged, "order": the_order}


@change("chain", "turn 2, step 2\n  recorded: activity charge(")
def renamed_activity(ctx: Context, order: str) -> Steps:
    reservation = yield ctx.call_activity("reserve", input=order)
    charged = yield ctx.call_activity("bill", input={"order": order, "by": reservation})
    yield ctx.call_activity("ship", input=charged)
    return {"order": order, "charge": charged}


@change("chain", "turn 1, step 2\n  recorded: nothing\n  now:      activity audit(")
def step_beside(ctx: Context, order: str) -> Steps:
    first: Any = ctx.call_activity("reserve", input=order)
    ctx.call_activity("audit", input=order)
    reservation = yield first
    charged = yield ctx.call_activity("charge", input={"order": order, "by": reservation})
    yield ctx.call_activity("ship", input=charged)
    return {"order": order, "charge": charged}


@change("chain", 'turn 3, step 3\n  recorded: activity ship("c-7")\n  now:      end: completed')
def early_return(ctx: Context, order: str) -> Steps:
    reservation = yield ctx.call_activity("reserve", input=order)
    charged = yield ctx.call_activity("charge", input={"order": order, "by": reservation})
    return {"order": order, "charge": charged}


@change("chain", "now:      end: failed with ValueError: too late")
def fails_at_the_end(ctx: Context, order: str) -> Steps:
    yield from chain(ctx, order)
    raise ValueError("too late")


@change("chain", 'now:      sub-orchestration reserve("7") as ')
def child_instead_of_activity(ctx: Context, order: str) -> Steps:
    yield ctx.call_sub_orchestrator("reserve", input=order)


@change("chain", "now:      nothing")
def waits_for_ever(ctx: Context, order: str) -> Steps:
    reservation = yield ctx.call_activity("reserve", input=order)
    yield ctx.wait_for_external_event("never")
    return reservation


@change("chain-running")
def running_early_result(ctx: Context, order: str) -> Steps:
    yield from chain(ctx, order)
    return "another result: no turn has returned one yet"


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


# Sub-orchestrations


def region(ctx: Context, name: str) -> Steps:
    return (yield ctx.call_activity("reserve", input=name))


def children(ctx: Context, names: list[str]) -> Steps:
    parts: list[Any] = [ctx.call_sub_orchestrator("region", input=name) for name in names]
    results = yield task.when_all(parts)
    return ", ".join(results)


@change("children", 'step 1\n  recorded: sub-orchestration region("north") as ')
def ids_of_our_own(ctx: Context, names: list[str]) -> Steps:
    parts: list[Any] = [
        ctx.call_sub_orchestrator("region", input=name, instance_id=f"{ctx.instance_id}-{name}")
        for name in names
    ]
    return ", ".join((yield task.when_all(parts)))


@change("children", "in version 2")
def version_of_a_child(ctx: Context, names: list[str]) -> Steps:
    parts: list[Any] = [
        ctx.call_sub_orchestrator("region", input=name, version="2") for name in names
    ]
    return ", ".join((yield task.when_all(parts)))


@change("children", "turn 1, step 2\n  recorded: sub-orchestration region")
def one_after_the_other(ctx: Context, names: list[str]) -> Steps:
    results = []
    for name in names:
        results.append((yield ctx.call_sub_orchestrator("region", input=name)))
    return ", ".join(results)
