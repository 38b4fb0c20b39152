"""More work items than one orchestration should hold, or than fit one input: in parts."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import timedelta
from typing import Any

from durabletask import task
from durabletask.client import TaskHubGrpcClient
from durabletask.serialization import DEFAULT_DATA_CONVERTER

# With more items, the history of an orchestration gets long and each of its turns slow. The
# results of so many are one input of aggregate_results: lower it if they exceed 1 MB together.
MAX_FAN_OUT = 1000

# The service accepts 1 MB for an input or event. Source:
# https://learn.microsoft.com/azure/durable-task/scheduler/durable-task-scheduler
MAX_INPUT_BYTES = 900_000

# How long the orchestration waits for the next parts; their client may have died.
PARTS_TIMEOUT = timedelta(minutes=10)


def fits_one_orchestration(work_items: Sequence[Any]) -> bool:
    """Return whether the items can be the input of one orchestration."""
    return len(split(work_items, MAX_FAN_OUT)) == 1


def schedule_large_fan_out(
    client: TaskHubGrpcClient, work_items: Sequence[Any], instance_id: str | None = None
) -> str:
    """Schedule an orchestration for any number of items and return its ID.

    As many parts as fit are its input. The others follow as events.
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
        client.terminate_orchestration(instance_id, output="The client sent only a part of it.")
        raise
    return instance_id


def split(values: Sequence[Any], most: int) -> list[list[Any]]:
    """Return the values in lists of at most `most`, each small enough for one input.

    There is always one list. A value that is too large by itself has a list of its own.
    """
    pieces: list[list[Any]] = [[]]
    room = MAX_INPUT_BYTES
    for value in values:
        size = len(DEFAULT_DATA_CONVERTER.serialize(value) or "null") + len(", ")
        if pieces[-1] and (len(pieces[-1]) == most or size > room):
            pieces.append([])
            room = MAX_INPUT_BYTES
        pieces[-1].append(value)
        room -= size
    return pieces


def large_fan_out_orchestrator(
    ctx: task.OrchestrationContext, work: dict[str, Any]
) -> Generator[task.Task[Any], Any, Any]:
    """Start a sub-orchestration for each part of the items and combine their results."""
    parts: list[list[Any]] = work["parts"]
    for number in range(work["more"]):
        event = ctx.wait_for_external_event(f"parts-{number}")
        if (yield task.when_any([event, ctx.create_timer(PARTS_TIMEOUT)])) is not event:
            raise TimeoutError("The client did not send all work items.")
        parts += event.get_result()
    aggregates = yield task.when_all(
        [ctx.call_sub_orchestrator("fan_out_fan_in_orchestrator", input=part) for part in parts]
    )
    return (yield ctx.call_activity("combine_aggregates", input=aggregates))


def combine_aggregates(_: task.ActivityContext, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the aggregate of all items, from the aggregates of their parts."""
    count, total = (sum(part[key] for part in parts) for key in ("total_items", "sum"))
    return {"total_items": count, "sum": total, "average": total / count if count else 0}
