"""Changes that can be made to any orchestrator, made to each of the five."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.replay import chains, waits
from tests.replay.programme import Context, Steps, change, logger

Code = Callable[[Context, Any], Steps]

FIVE: dict[str, Code] = {
    "chain": chains.chain,
    "children": chains.children,
    "approval-answered": waits.approval,
    "transfer": waits.transfer,
    "counter": waits.counter,
}


def logs(code: Code) -> Code:
    def logging(ctx: Context, given: Any) -> Steps:
        """Do the same, and say so."""
        log = ctx.create_replay_safe_logger(logger)
        log.info("starting")
        result = yield from code(ctx, given)
        log.info("ending")
        return result

    return logging


def step_before(code: Code) -> Code:
    def audited_before(ctx: Context, given: Any) -> Steps:
        yield ctx.call_activity("audit")
        return (yield from code(ctx, given))

    return audited_before


def step_between(code: Code) -> Code:
    def audited_between(ctx: Context, given: Any) -> Steps:
        steps = code(ctx, given)
        value = yield next(steps)
        yield ctx.call_activity("audit")
        try:
            while True:
                value = yield steps.send(value)
        except StopIteration as end:
            return end.value

    return audited_between


def step_after(code: Code) -> Code:
    def audited_after(ctx: Context, given: Any) -> Steps:
        result = yield from code(ctx, given)
        yield ctx.call_activity("audit")
        return result

    return audited_after


def early_return(code: Code) -> Code:
    def returning_early(ctx: Context, given: Any) -> Steps:
        yield next(code(ctx, given))

    return returning_early


def other_result(code: Code) -> Code:
    def with_another_result(ctx: Context, given: Any) -> Steps:
        return {"result": (yield from code(ctx, given))}

    return with_another_result


for history, unchanged in FIVE.items():
    change(history)(logs(unchanged))
    change(history, "step 1\n")(step_before(unchanged))
    change(history, "\n  now:      activity audit(")(step_between(unchanged))
    change(history, "\n  recorded: end: completed with ")(step_after(unchanged))
    change(history, "\n  recorded: ")(early_return(unchanged))
    change(history, '\n  now:      end: completed with {"result": ')(other_result(unchanged))
