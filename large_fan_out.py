"""More work items than one orchestration should hold, or than fit one input: in parts."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import timedelta
from typing import Any

from durabletask import task

from hosting.clients import Client
from hosting.inputs import split

# More items would make an orchestration's history long, and each of its turns slow. The results
# of so many are one input of aggregate_results, at most 1 MB: lower it if yours are larger.
MAX_FAN_OUT = 1000

# How long the orchestration waits for items from a client that has died in the middle.
PATIENCE = timedelta(minutes=10)


def fits_one_orchestration(work_items: Sequence[Any]) -> bool:
    """Return whether the items can be the input of one orchestration."""
    return len(work_items) <= MAX_FAN_OUT and len(split(work_items, MAX_FAN_OUT)) == 1


def schedule_large_fan_out(
    client: Client, work_items: Sequence[Any], instance_id: str | None = None
) -> str:
    """Schedule an orchestration for any number of items and return its ID.

    As many parts as fit go with the input. The others follow as events.
    """
    parts = split(work_items, MAX_FAN_OUT)
    first, *others = split(parts, len(parts))
    instance_id = client.schedule_new_orchestration(
        "large_fan_out_orchestrator",
        input={"parts": first, "more": len(others)},
        instance_id=instance_id,
    )
    try:
        for number, more_parts in enumerate(others):
            client.raise_orchestration_event(instance_id, f"parts-{number}", data=more_parts)
    except BaseException:
        client.terminate_orchestration(instance_id, output="Not all work items have come.")
        raise
    return instance_id


def large_fan_out_orchestrator(
    ctx: task.OrchestrationContext, work: dict[str, Any]
) -> Generator[task.Task[Any], Any, Any]:
    """Give each part of the items to a sub-orchestration and combine what they return."""
    parts: list[list[Any]] = work["parts"]
    for number in range(work["more"]):
        event = ctx.wait_for_external_event(f"parts-{number}")
        if (yield task.when_any([event, ctx.create_timer(PATIENCE)])) is not event:
            raise TimeoutError("Not all work items have come from the client.")
        parts += event.get_result()
    aggregates = yield task.when_all(
        [ctx.call_sub_orchestrator("fan_out_fan_in_orchestrator", input=part) for part in parts]
    )
    return (yield ctx.call_activity("combine_aggregates", input=aggregates))
