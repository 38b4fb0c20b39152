"""The sample's code fits the runs in tests/histories, and changes to it are told apart."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

from dts_emulator import Replayer
from tests.record_histories import FOLDER, ORCHESTRATORS, connection

ROOT = Path(__file__).parent.parent
HISTORIES = sorted(FOLDER.glob("*.json"))
TEN_ITEMS, RETRIED_ITEM = FOLDER / "ten_items.json", FOLDER / "retried_item.json"
LARGE_RUN = FOLDER / "large_run.json"

Context = task.OrchestrationContext


@contextmanager
def replayer_of(*orchestrators: Callable[..., Any]) -> Iterator[Replayer]:
    """Give a replayer with a worker that knows these orchestrators."""
    with (
        Replayer() as replayer,
        DurableTaskSchedulerWorker(**connection(replayer)) as worker,
    ):
        for orchestrator in orchestrators:
            worker.add_orchestrator(orchestrator)
        worker.start()
        yield replayer


@pytest.fixture(scope="module")
def unchanged() -> Iterator[Replayer]:
    with replayer_of(*ORCHESTRATORS) as replayer:
        yield replayer


@pytest.mark.parametrize("history", HISTORIES, ids=lambda path: path.stem)
def test_the_code_fits_a_recorded_run(history: Path, unchanged: Replayer) -> None:
    result = unchanged.replay(history)
    assert result.ok, (
        f"{result}\nRuns in flight would break: see 'Change an orchestrator' in README.md. "
        "If no such run exists, record new histories: python -m tests.record_histories"
    )


def test_the_command_checks_the_worker_itself() -> None:
    files = [str(path.relative_to(ROOT)) for path in HISTORIES]
    command = ["-m", "dts_emulator", "replay", *files, "--", sys.executable, "worker.py"]
    check = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert check.returncode == 0, check.stdout + check.stderr
    assert check.stdout.splitlines() == [*(f"ok {file}" for file in files), "4 histories: 4 ok"]


# A programme of changes. Those with a text do not fit; the text is a part of the difference.

CHANGES: list[Any] = []


def change(history: Path, differs: str = "") -> Callable[[Any], Any]:
    """Note a function as a changed fan_out_fan_in_orchestrator."""

    def note(code: Any) -> Any:
        CHANGES.append(pytest.param(code, history, differs, id=code.__name__))
        return code

    return note


def policy_of(seconds: int, attempts: int) -> task.RetryPolicy:
    """Return a policy like the sample's, with another first delay and number of attempts."""
    return task.RetryPolicy(
        first_retry_interval=timedelta(seconds=seconds),
        backoff_coefficient=2,
        max_number_of_attempts=attempts,
    )


def items_of(ctx: Context, work_items: list[Any], **options: Any) -> list[Any]:
    """Fan out as the sample does, or with other options."""
    options.setdefault("retry_policy", policy_of(seconds=1, attempts=3))
    name = options.pop("name", "process_work_item")
    return [ctx.call_activity(name, input=item, **options) for item in work_items]


@change(TEN_ITEMS)
def refactored(ctx: Context, numbers: list[int]) -> Any:
    """Say the same in other words, with other names and another log."""
    ctx.set_custom_status("fanning out")
    squares = yield task.when_all(items_of(ctx, numbers))
    return (yield ctx.call_activity("aggregate_results", input=squares))


@change(TEN_ITEMS)
def one_more_attempt_that_was_not_needed(ctx: Context, work_items: list[int]) -> Any:
    policy = policy_of(seconds=9, attempts=9)
    results = yield task.when_all(items_of(ctx, work_items, retry_policy=policy))
    return (yield ctx.call_activity("aggregate_results", input=results))


@change(TEN_ITEMS)
def waits_for_one_after_the_other(ctx: Context, work_items: list[int]) -> Any:
    tasks = items_of(ctx, work_items)
    results = []
    for one in tasks:
        results.append((yield one))
    return (yield ctx.call_activity("aggregate_results", input=results))


@change(TEN_ITEMS, "recorded: activity aggregate_results([")
def renamed_activity(ctx: Context, work_items: list[int]) -> Any:
    results = yield task.when_all(items_of(ctx, work_items))
    return (yield ctx.call_activity("summarise", input=results))


@change(TEN_ITEMS, "turn 1, step 1\n  recorded: activity process_work_item(1)")
def renamed_item_activity(ctx: Context, work_items: list[int]) -> Any:
    results = yield task.when_all(items_of(ctx, work_items, name="process_item"))
    return (yield ctx.call_activity("aggregate_results", input=results))


@change(
    TEN_ITEMS, "step 1\n  recorded: activity process_work_item(1)\n  now:      activity process_wo"
)
def other_input(ctx: Context, work_items: list[int]) -> Any:
    results = yield task.when_all(items_of(ctx, [{"item": item} for item in work_items]))
    return (yield ctx.call_activity("aggregate_results", input=results))


@change(TEN_ITEMS, "step 11\n  recorded: activity aggregate_results([")
def other_input_of_the_aggregate(ctx: Context, work_items: list[int]) -> Any:
    results = yield task.when_all(items_of(ctx, work_items))
    return (yield ctx.call_activity("aggregate_results", input=results[1:]))


@change(TEN_ITEMS, "turn 1, step 1\n")
def step_before(ctx: Context, work_items: list[int]) -> Any:
    yield ctx.call_activity("validate", input=work_items)
    results = yield task.when_all(items_of(ctx, work_items))
    return (yield ctx.call_activity("aggregate_results", input=results))


@change(TEN_ITEMS, "step 11\n  recorded: activity aggregate_results([")
def step_between(ctx: Context, work_items: list[int]) -> Any:
    results = yield task.when_all(items_of(ctx, work_items))
    yield ctx.call_activity("validate", input=results)
    return (yield ctx.call_activity("aggregate_results", input=results))


@change(TEN_ITEMS, "step 12\n  recorded: end: completed with {")
def step_after(ctx: Context, work_items: list[int]) -> Any:
    results = yield task.when_all(items_of(ctx, work_items))
    result = yield ctx.call_activity("aggregate_results", input=results)
    yield ctx.call_activity("announce", input=result)
    return result


@change(TEN_ITEMS, "step 10\n  recorded: activity process_work_item(10)\n  now:      nothing")
def removed_step(ctx: Context, work_items: list[int]) -> Any:
    results = yield task.when_all(items_of(ctx, work_items[:-1]))
    return (yield ctx.call_activity("aggregate_results", input=results))


@change(TEN_ITEMS, "step 11\n  recorded: activity aggregate_results([")
def early_return(ctx: Context, work_items: list[int]) -> Any:
    results = yield task.when_all(items_of(ctx, work_items))
    return {"sum": sum(result["result"] for result in results)}


@change(TEN_ITEMS, "now:      end: completed with 385")
def other_result(ctx: Context, work_items: list[int]) -> Any:
    results = yield task.when_all(items_of(ctx, work_items))
    return (yield ctx.call_activity("aggregate_results", input=results))["sum"]


@change(TEN_ITEMS, "turn 1, step 1\n")
def reordered_calls(ctx: Context, work_items: list[int]) -> Any:
    results = yield task.when_all(items_of(ctx, work_items[::-1]))
    return (yield ctx.call_activity("aggregate_results", input=results))


@change(TEN_ITEMS, "turn 1, step 11\n  recorded: nothing\n  now:      timer until ")
def with_a_timeout(ctx: Context, work_items: list[int]) -> Any:
    everything = task.when_all(items_of(ctx, work_items))
    yield task.when_any([everything, ctx.create_timer(timedelta(minutes=1))])
    return (yield ctx.call_activity("aggregate_results", input=everything.get_result()))


@change(TEN_ITEMS, "turn 1, step 2\n")
def one_at_a_time(ctx: Context, work_items: list[int]) -> Any:
    results = []
    for item in work_items:
        results.append((yield ctx.call_activity("process_work_item", input=item)))
    return (yield ctx.call_activity("aggregate_results", input=results))


@change(RETRIED_ITEM)
def more_attempts(ctx: Context, work_items: list[int]) -> Any:
    policy = policy_of(seconds=1, attempts=9)
    results = yield task.when_all(items_of(ctx, work_items, retry_policy=policy))
    return (yield ctx.call_activity("aggregate_results", input=results))


@change(RETRIED_ITEM, "step 4\n  recorded: timer until ")
def slower_retries(ctx: Context, work_items: list[int]) -> Any:
    policy = policy_of(seconds=2, attempts=3)
    results = yield task.when_all(items_of(ctx, work_items, retry_policy=policy))
    return (yield ctx.call_activity("aggregate_results", input=results))


@change(RETRIED_ITEM, "step 4\n  recorded: timer until ")
def no_retries(ctx: Context, work_items: list[int]) -> Any:
    results = yield task.when_all(items_of(ctx, work_items, retry_policy=None))
    return (yield ctx.call_activity("aggregate_results", input=results))


def combined(ctx: Context, parts: list[list[int]]) -> Any:
    name = "fan_out_fan_in_orchestrator"
    aggregates = yield task.when_all([ctx.call_sub_orchestrator(name, input=p) for p in parts])
    return (yield ctx.call_activity("combine_aggregates", input=aggregates))


@change(LARGE_RUN)
def other_words_for_parts(ctx: Context, work: dict[str, Any]) -> Any:
    parts = list(work["parts"])
    for number in range(work["more"]):
        patience = ctx.create_timer(timedelta(seconds=600))
        event = ctx.wait_for_external_event(f"PARTS-{number}")
        if (yield task.when_any([event, patience])) is patience:
            raise TimeoutError
        parts = parts + event.get_result()
    return (yield from combined(ctx, parts))


@change(LARGE_RUN, "turn 1, step 1\n  recorded: timer until ")
def more_patience(ctx: Context, work: dict[str, Any]) -> Any:
    event = ctx.wait_for_external_event("parts-0")
    yield task.when_any([event, ctx.create_timer(timedelta(minutes=11))])
    return (yield from combined(ctx, work["parts"] + event.get_result()))


@change(LARGE_RUN, "step 2\n  recorded: sub-orchestration fan_out_fan_in_orchestrator([1, 2, 3])")
def timer_instead_of_event(ctx: Context, work: dict[str, Any]) -> Any:
    yield ctx.create_timer(timedelta(minutes=10))
    return (yield from combined(ctx, work["parts"]))


@change(LARGE_RUN, "step 4\n  recorded: sub-orchestration fan_out_fan_in_orchestrator([7])")
def part_left_out(ctx: Context, work: dict[str, Any]) -> Any:
    event = ctx.wait_for_external_event("parts-0")
    yield task.when_any([event, ctx.create_timer(timedelta(minutes=10))])
    return (yield from combined(ctx, work["parts"]))


@pytest.fixture(scope="module")
def changed() -> Iterator[Replayer]:
    """Give a replayer whose worker knows all changes under their own names."""
    with replayer_of(*(one.values[0] for one in CHANGES)) as replayer:
        yield replayer


@pytest.mark.parametrize(("code", "history", "differs"), CHANGES)
def test_a_change_is_told_apart(
    code: Any, history: Path, differs: str, changed: Replayer, tmp_path: Path
) -> None:
    orchestrator = "large_fan_out_orchestrator"
    if history != LARGE_RUN:
        orchestrator = "fan_out_fan_in_orchestrator"
    renamed = tmp_path / history.name
    text = history.read_text(encoding="utf-8")
    renamed.write_text(text.replace(orchestrator, code.__name__), encoding="utf-8")
    result = changed.replay(renamed)
    assert result.ok == (not differs), str(result)
    assert differs in str(result)
