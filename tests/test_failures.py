"""Any error fails its run with type and message, and leaves the worker at work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationState, OrchestrationStatus

from hosting.errors import describe
from hosting.scheduler import ConfigurationError
from hosting.workers import guarded
from tests.sample import FAN_OUT, LARGE, Sample, sample_worker


class UnreadableError(Exception):
    """An error whose message cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no message")


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


UNREADABLE = "(its message cannot be read: RuntimeError)"

# Errors, and how clients are told of them.
ERRORS: dict[str, tuple[BaseException, str]] = {
    "an error": (ValueError("no such item"), "ValueError: no such item"),
    "sys.exit": (SystemExit(3), "SystemExit: 3"),
    "Ctrl-C": (KeyboardInterrupt(), "KeyboardInterrupt: "),
    "the mother of all": (BaseException("bare"), "BaseException: bare"),
    "the end of a generator": (GeneratorExit("out"), "GeneratorExit: out"),
    "cancelled": (asyncio.CancelledError("off"), "asyncio.exceptions.CancelledError: off"),
    "half a character": (ValueError("caf\udce9.txt"), "ValueError: caf\\udce9.txt"),
    "no readable message": (UnreadableError(), f"{__name__}.UnreadableError: {UNREADABLE}"),
    "half a character in the cause": (
        caused(KeyError("open"), ValueError("caf\udce9.txt")),
        "KeyError: 'open'",
    ),
    "no readable message in the cause": (
        caused(OSError("disk"), UnreadableError()),
        "OSError: disk",
    ),
}
errors = pytest.mark.parametrize(("error", "told"), ERRORS.values(), ids=ERRORS)


def assert_failed(state: OrchestrationState, told: str) -> None:
    assert state.runtime_status is OrchestrationStatus.FAILED
    assert state.failure_details is not None
    assert describe(state.failure_details) == told


@errors
def test_an_activity_fails_its_run_after_three_attempts(
    sample: Sample, error: BaseException, told: str
) -> None:
    attempts: list[int] = []

    def process_work_item(_: task.ActivityContext, item: int) -> None:
        attempts.append(item)
        raise error

    sample.replaced["process_work_item"] = process_work_item
    assert_failed(sample.run([1]), told)
    assert attempts == [1, 1, 1]
    sample.replaced.clear()
    assert sample.run([2, 3]).get_output()["sum"] == 13


@errors
def test_an_orchestrator_fails_its_run_in_its_second_turn(
    sample: Sample, error: BaseException, told: str
) -> None:
    def fan_out_fan_in_orchestrator(ctx: task.OrchestrationContext, work: Any) -> Any:
        yield ctx.call_activity("aggregate_results", input=[])
        raise error

    sample.replaced[FAN_OUT] = fan_out_fan_in_orchestrator
    assert_failed(sample.run([1]), told)
    sample.replaced.clear()
    assert sample.run([2, 3]).get_output()["sum"] == 13


def test_an_orchestrator_fails_its_run_before_it_yields(sample: Sample) -> None:
    assert_failed(sample.run(7), "TypeError: object of type 'int' has no len()")


# The worker's log


def records(caplog: pytest.LogCaptureFixture, level: int) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.levelno == level]


TURNS: list[int] = []


def changed_between_turns(ctx: task.OrchestrationContext, _: Any) -> Any:
    TURNS.append(1)
    yield ctx.call_activity("first" if len(TURNS) == 1 else "second")


def returns_no_json(ctx: task.OrchestrationContext, _: Any) -> Any:
    yield ctx.call_activity("first")
    return {1, 2}


def returns_too_much(ctx: task.OrchestrationContext, _: Any) -> Any:
    yield ctx.call_activity("first")
    return "x" * 2_000_000


def first(_: task.ActivityContext, __: Any) -> None:
    return None


@pytest.fixture(scope="module")
def unchecked() -> Iterator[Sample]:
    """Give a worker of all these, on an emulator that lets each turn run once."""
    dts_emulator = pytest.importorskip("dts_emulator", reason="there is no emulator/")
    others = (changed_between_turns, returns_no_json, returns_too_much, first)
    with (
        dts_emulator.Emulator(skip_time=True) as emulator,
        sample_worker(emulator.endpoint, *others) as sample,
    ):
        yield sample


def fails(_: task.ActivityContext, item: Any) -> None:
    raise ValueError(f"{item} is no number")


def test_each_failed_attempt_is_one_line_and_the_failed_run_one_with_the_traceback(
    unchecked: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    unchecked.replaced["process_work_item"] = fails
    state = unchecked.run(["red"])
    assert [each.getMessage() for each in records(caplog, logging.WARNING)] == [
        "process_work_item failed for 'red': ValueError: red is no number"
    ] * 3
    (last,) = records(caplog, logging.ERROR)
    told = "ValueError: red is no number"
    assert last.getMessage() == f"Orchestration {state.instance_id} failed: {told}"
    trace = vars(last)["trace"].splitlines()
    assert any(line.endswith("in fails") for line in trace)
    assert trace[-1] == told


def test_a_failed_part_and_the_large_run_that_it_fails_are_a_line_each(
    unchecked: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    unchecked.replaced["process_work_item"] = fails
    state = unchecked.run({"parts": [[1]], "more": 0}, LARGE)
    part, whole = (each.getMessage() for each in records(caplog, logging.ERROR))
    assert part.startswith(f"Orchestration {state.instance_id}:")
    assert whole == f"Orchestration {state.instance_id} failed: ValueError: 1 is no number"


@pytest.mark.parametrize(
    ("orchestrator", "words"),
    [
        (changed_between_turns, "NonDeterminismError: "),
        (returns_no_json, "JsonEncodeOutputException: "),
        (returns_too_much, "PayloadTooLarge: "),
    ],
)
def test_an_error_that_the_sdk_or_the_scheduler_raises_is_one_line_too(
    unchecked: Sample, caplog: pytest.LogCaptureFixture, orchestrator: Any, words: str
) -> None:
    state = unchecked.run(None, orchestrator.__name__)
    assert state.runtime_status is OrchestrationStatus.FAILED
    (line,) = (each.getMessage() for each in records(caplog, logging.ERROR))
    assert line.startswith(f"Orchestration {state.instance_id} failed: ")
    assert words in line


# What a worker refuses


async def async_work(_: task.ActivityContext, item: int) -> int:
    return item


async def async_generator(ctx: task.OrchestrationContext, work: Any) -> Any:
    yield work


@pytest.mark.parametrize("function", [async_work, async_generator])
def test_an_async_function_is_refused_with_the_fix(function: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=f"'{function.__name__}' is an async function: use def."
    ):
        guarded(function)
