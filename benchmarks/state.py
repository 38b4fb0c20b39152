"""What it costs to keep the emulator's state in a file, and what it is worth after a kill."""

from __future__ import annotations

import logging
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from durabletask import task
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.internal import orchestrator_service_pb2 as pb

from benchmarks.processes import emulator_process, system
from dts_emulator.engine import instances, turns
from dts_emulator.engine.model import Instance
from dts_emulator.store.file import StateFile
from hosting.scheduler import Scheduler

STEPS = 200
RUNS, RUN_ITEMS = 30, 10
IN_FLIGHT, PER_INSTANCE = 100_000, 1000
ENDED = 200_000
MIB = 1024 * 1024

# (items per second, CPU seconds, MB in the file, ms a step, ms a run of RUN_ITEMS)
Sample = tuple[float, float, float, float, float]


def memory_and_file(count: int, repeats: int, folder: Path) -> list[str]:
    """Measure instant items, steps and small runs, the state in memory and in a file by turns."""
    samples: dict[bool, list[Sample]] = {False: [], True: []}
    for _ in range(repeats):
        for in_file, found in samples.items():
            found.append(_sample(count, folder, in_file=in_file))
    rows = {
        in_file: [median(column) for column in zip(*found, strict=True)]
        for in_file, found in samples.items()
    }
    speed_kept = rows[True][0] / rows[False][0]
    run_in_memory, run_in_file = rows[False][4], rows[True][4]
    return [
        f"| state | items per second ({count:,} instant items) | emulator CPU per 1,000 "
        f"| file per 1,000 items | one step after the other | a run of {RUN_ITEMS} instant items |",
        "|---|---|---|---|---|---|",
        *(
            f"| {'`--db-file`' if in_file else 'in memory'} | {speed:,.0f} | {cpu:.2f} s "
            f"| {f'{size:.2f} MB' if in_file else '-'} | {step:.1f} ms | {run:.1f} ms |"
            for in_file, (speed, cpu, size, step, run) in rows.items()
        ),
        "",
        f"With a file: {speed_kept:.0%} of the items per second in memory (at least 85 %); a run "
        f"of {RUN_ITEMS} instant items takes {run_in_file / run_in_memory:.2f} times as long, "
        f"{run_in_file - run_in_memory:.1f} ms more (at most 50 ms).",
    ]


def _sample(count: int, folder: Path, *, in_file: bool) -> Sample:
    path = folder / "bench.db"
    state = ("--db-file", str(path)) if in_file else ()
    arguments = ("--task-hubs", "default,steps", *state)
    with system("instant", folder, emulator_arguments=arguments) as running:
        running.run_client(1, 60)  # Warms up: threads, imports.
        wall = running.run_client(count, 600) or float("nan")
        cpu_seconds = running.emulator.used.cpu_seconds
        step, run = _step_and_run(running.endpoint)
    size = path.stat().st_size if in_file else 0
    path.unlink(missing_ok=True)
    speed, cpu = count / wall, cpu_seconds / count * 1000
    return speed, cpu, size / count / 1000, step * 1000, run * 1000


def chain(ctx: task.OrchestrationContext, length: int) -> Any:
    """Run steps one after the other."""
    for number in range(length):
        yield ctx.call_activity(step, input=number)


def fan_out(ctx: task.OrchestrationContext, items: int) -> Any:
    """Run steps at once."""
    return (yield task.when_all([ctx.call_activity(step, input=n) for n in range(items)]))


def step(_: task.ActivityContext, number: int) -> int:
    """Do nothing."""
    return number


def _step_and_run(endpoint: str) -> tuple[float, float]:
    """Return how long one step of a chain takes, and a run of RUN_ITEMS, in seconds.

    They have a task hub of their own.
    """
    quiet = logging.getLogger("benchmarks")
    quiet.setLevel(logging.CRITICAL)
    target = Scheduler(endpoint=endpoint, task_hub="steps").connection()
    with (
        DurableTaskSchedulerWorker(**target, logger=quiet) as worker,
        DurableTaskSchedulerClient(**target, logger=quiet) as client,
    ):
        worker.add_orchestrator(chain)
        worker.add_orchestrator(fan_out)
        worker.add_activity(step)
        worker.start()

        def seconds(orchestrator: Any, steps: int) -> float:
            start = time.monotonic()
            started = client.schedule_new_orchestration(orchestrator, input=steps)
            client.wait_for_orchestration_completion(started, timeout=600)
            return time.monotonic() - start

        for orchestrator in (chain, fan_out):
            seconds(orchestrator, 5)  # Warms up.
        run = median(seconds(fan_out, RUN_ITEMS) for _ in range(RUNS))
        return seconds(chain, STEPS) / STEPS, run


def after_a_kill(folder: Path) -> list[str]:
    """Measure how long an emulator takes to be ready on a file, and its memory then."""
    cases: dict[str, Callable[[], Iterator[Instance]]] = {
        "nothing": lambda: iter(()),
        f"{IN_FLIGHT:,} items in flight": _in_flight,
        f"{ENDED:,} ended instances": _ended,
    }
    rows = []
    for what, made in cases.items():
        path = folder / "recovery.db"
        _fill(path, made())
        size = path.stat().st_size / 1e6
        seconds, page, memory = _ready(folder, path)
        path.unlink()
        rows.append(
            f"| {what} | {size:,.0f} MB | {seconds:.2f} s | {page * 1000:.0f} ms "
            f"| {memory:.0f} MiB |"
        )
    return [
        "| the file holds | its size | start to ready banner | page of the list | memory then |",
        "|---|---|---|---|---|",
        *rows,
    ]


def _ready(folder: Path, path: Path) -> tuple[float, float, float]:
    """Return the seconds until an emulator is ready, and to load a page; MiB of memory then."""
    start = time.monotonic()
    process = emulator_process(folder, "--db-file", str(path))
    try:
        process.wait_for("Task hubs")
        seconds = time.monotonic() - start
        address = process.wait_for(" Dashboard ").split()[1]
        page = median(_seconds_of(f"{address}/taskhubs/default?search=instance") for _ in range(5))
        return seconds, page, psutil.Process(process.pid).memory_info().rss / MIB
    finally:
        process.stop()


def _seconds_of(address: str) -> float:
    start = time.monotonic()
    with urllib.request.urlopen(address, timeout=60) as answer:
        answer.read()
    return time.monotonic() - start


def _fill(path: Path, made: Iterator[Instance]) -> None:
    file = StateFile(path)
    store = file.store("default")
    for number, instance in enumerate(made):
        with store.lock:
            store.put(instance)
        if number % 1000 == 0:
            store.flush()
    file.close()


def _in_flight() -> Iterator[Instance]:
    """Yield instances each of which waits for PER_INSTANCE activities."""
    for number in range(IN_FLIGHT // PER_INSTANCE):
        yield _after_first_turn(f"part-{number}", PER_INSTANCE)


def _ended() -> Iterator[Instance]:
    """Yield instances that have completed with five steps each."""
    for number in range(ENDED):
        instance = _after_first_turn(f"instance-{number}", 5)
        for task_id in range(1, 6):
            completed = pb.TaskCompletedEvent(taskScheduledId=task_id)
            event = pb.HistoryEvent(eventId=-1, taskCompleted=completed)
            instances.answer(instance, task_id, event, time.time_ns())
        turns.take(instance, time.time_ns())
        answer = pb.OrchestratorResponse(instanceId=instance.instance_id)
        status = pb.ORCHESTRATION_STATUS_COMPLETED
        answer.actions.add(id=-1).completeOrchestration.orchestrationStatus = status
        turns.settle(instance, answer, time.time_ns())
        yield instance


def _after_first_turn(instance_id: str, count: int) -> Instance:
    named = pb.OrchestrationInstance(instanceId=instance_id)
    started = pb.ExecutionStartedEvent(name="bench", orchestrationInstance=named)
    instance, _ = instances.create(started, time.time_ns())
    turns.take(instance, time.time_ns())
    answer = pb.OrchestratorResponse(instanceId=instance_id)
    for task_id in range(1, count + 1):
        scheduled = answer.actions.add(id=task_id).scheduleTask
        scheduled.name, scheduled.input.value = "process_work_item", str(task_id)
    turns.settle(instance, answer, time.time_ns())
    return instance
