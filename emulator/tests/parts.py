"""Activities and orchestrators that several test programs are made of."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

from durabletask import task

from tests.processes import PATIENCE_SECONDS

# Gates that activities wait at, and how often each key has been run; keys are unique to a test.
GATES: dict[str, threading.Event] = defaultdict(threading.Event)
RUNS: Counter[str] = Counter()

RETRIES = task.RetryPolicy(
    first_retry_interval=timedelta(milliseconds=50), max_number_of_attempts=3
)


class Rejected(Exception):  # noqa: N818
    """An error of the user's own."""


def echo(_: Any, value: Any) -> Any:
    return value


def square(_: Any, number: int) -> int:
    return number * number


def fail_once(_: Any, key: str) -> str:
    RUNS[key] += 1
    if RUNS[key] == 1:
        raise RuntimeError("the first time fails")
    return key


def fail_twice(_: Any, key: str) -> str:
    RUNS[key] += 1
    if RUNS[key] < 3:
        raise Rejected("not yet")
    return "third time lucky"


def pass_gate(_: Any, gate: str) -> str:
    RUNS[gate] += 1
    assert GATES[gate].wait(PATIENCE_SECONDS)
    return gate


def echoing(ctx: task.OrchestrationContext, value: Any) -> Any:
    return (yield ctx.call_activity(echo, input=value))


def sum_of_squares(ctx: task.OrchestrationContext, count: int) -> Any:
    squares = yield task.when_all([ctx.call_activity(square, input=n) for n in range(count)])
    return sum(squares)


def auditing(ctx: task.OrchestrationContext, text: str) -> Any:
    return text
    yield


def waiting(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.wait_for_external_event("go"))


def waiting_twice(ctx: task.OrchestrationContext, _: Any) -> Any:
    first = yield ctx.wait_for_external_event("first")
    second = yield ctx.wait_for_external_event("second")
    return [first, second]


def at_gate(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.call_activity(pass_gate, input=ctx.instance_id))
