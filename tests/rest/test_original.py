"""The published quickstart's own worker and client work with ours, unchanged."""

from __future__ import annotations

import json

import pytest

from tests.processes import Program, run, running

pytestmark = pytest.mark.system

CONNECTION = """
import logging, os, random, sys, time
from durabletask import task

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger(__name__)
taskhub_name = os.getenv("TASKHUB", "default")
endpoint = os.getenv("ENDPOINT", "http://localhost:8080")
secure_channel = endpoint != "http://localhost:8080" and not endpoint.startswith("http://")
connection = dict(host_address=endpoint, secure_channel=secure_channel, taskhub=taskhub_name,
                  token_credential=None)
"""

WORKER = (
    CONNECTION
    + """
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

# Activity functions
def process_work_item(ctx, item: int) -> dict:
    logger.info(f"Processing work item: {item}")
    time.sleep(random.uniform(0.5, 2.0))
    return {"item": item, "result": item * item}

def aggregate_results(ctx, results: list) -> dict:
    logger.info(f"Aggregating results from {len(results)} items")
    total = sum(result["result"] for result in results)
    return {"total_items": len(results), "sum": total, "average": total / len(results)}

# Orchestrator function
def fan_out_fan_in_orchestrator(ctx, work_items: list) -> dict:
    logger.info(f"Starting fan out/fan in orchestration with {len(work_items)} items")

    # Fan out: Create a task for each work item
    parallel_tasks = []
    for item in work_items:
        parallel_tasks.append(ctx.call_activity("process_work_item", input=item))

    # Wait for all tasks to complete
    logger.info(f"Waiting for {len(parallel_tasks)} parallel tasks to complete")
    results = yield task.when_all(parallel_tasks)

    # Fan in: Aggregate all the results
    logger.info("All parallel tasks completed, aggregating results")
    final_result = yield ctx.call_activity("aggregate_results", input=results)

    return final_result

print("Starting Fan Out/Fan In pattern worker...")
with DurableTaskSchedulerWorker(**connection) as worker:
    worker.add_orchestrator(fan_out_fan_in_orchestrator)
    worker.add_activity(process_work_item)
    worker.add_activity(aggregate_results)
    worker.start()
    while True:
        time.sleep(1)
"""
)

CLIENT = (
    CONNECTION
    + """
from durabletask.azuremanaged.client import DurableTaskSchedulerClient

client = DurableTaskSchedulerClient(**connection)

# Generate work items (default 10 items if not specified)
count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
work_items = list(range(1, count + 1))

logger.info(f"Starting new fan out/fan in orchestration with {count} work items")

# Schedule a new orchestration instance
instance_id = client.schedule_new_orchestration(
    "fan_out_fan_in_orchestrator",
    input=work_items
)

logger.info(f"Started orchestration with ID = {instance_id}")

# Wait for orchestration to complete
logger.info("Waiting for orchestration to complete...")
result = client.wait_for_orchestration_completion(
    instance_id,
    timeout=60
)
print(result.serialized_output)
"""
)

RESULT = {"total_items": 10, "sum": 385, "average": 38.5}


def test_the_original_client_works_with_our_worker(
    scheduler: dict[str, str], worker: Program
) -> None:
    client = run("-c", CLIENT, **scheduler)
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout) == RESULT


def test_our_client_works_with_the_original_worker(scheduler: dict[str, str]) -> None:
    with running("-c", WORKER, **scheduler):
        client = run("client.py", **scheduler)
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout) == RESULT


def test_two_different_workers_on_one_task_hub_complete_their_runs(
    scheduler: dict[str, str], worker: Program
) -> None:
    with running("-m", "examples.text_lengths.worker", **scheduler) as other:
        other.wait_for_line("Successfully connected")
        for _ in range(3):
            example = run("-m", "examples.text_lengths.client", **scheduler)
            assert example.stdout.splitlines()[-1] == "Total items processed: 5", example.stderr
            assert json.loads(run("client.py", "3", **scheduler).stdout)["sum"] == 14
    assert "ParallelProcessing" not in worker.stderr
