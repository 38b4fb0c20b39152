"""The client of the quickstart's C# form: `python -m examples.text_lengths.client [TEXT ...]`."""

import argparse
import json
import sys

from durabletask.azuremanaged.client import DurableTaskSchedulerClient

from hosting.clients import exit_statuses
from hosting.logs import configure_logging
from hosting.scheduler import Scheduler

DEFAULT_ITEMS = ["Task1", "Task2", "Task3", "LongerTask4", "VeryLongTask5"]
TIMEOUT_SECONDS = 60.0


def main() -> int:
    """Schedule the orchestration, wait for it and print what the C# client prints; return 0."""
    configure_logging("client", "warning")
    parser = argparse.ArgumentParser(description="Let a worker measure the length of texts.")
    parser.add_argument("items", nargs="*", metavar="TEXT", help="default: five texts")
    work_items = parser.parse_args().items or DEFAULT_ITEMS

    print("Starting Fan-Out Fan-In Pattern - Parallel Processing Client")
    with exit_statuses(TIMEOUT_SECONDS) as run:
        scheduler = Scheduler.from_environment()
        client = DurableTaskSchedulerClient(**scheduler.connection(), **run.options(scheduler))
        if scheduler.authentication == "None":
            print("Using local emulator with no authentication")
        else:
            print(f"Using {scheduler.endpoint} with authentication {scheduler.authentication}")
        print(f"Starting parallel processing orchestration with {len(work_items)} work items")
        print(f"Work items: {json.dumps(work_items, separators=(',', ':'))}")

        instance_id = client.schedule_new_orchestration(
            "ParallelProcessingOrchestration", input=work_items
        )
        print(f"Started orchestration with ID: {instance_id}")

        print("Waiting for orchestration to complete...")
        with run.waiting(client, instance_id):
            result = client.wait_for_orchestration_completion(instance_id, timeout=TIMEOUT_SECONDS)
        lengths = run.output_of(client, result)
        print("Orchestration completed with status: Completed")
        print("Processing results:")
        for item, length in lengths.items():
            print(f"Work item: {item}, Result: {length}")
        print(f"Total items processed: {len(lengths)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
