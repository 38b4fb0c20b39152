"""The client of the fan-out/fan-in quickstart: schedules N work items and prints the result.

The result is one line of JSON on stdout; all else goes to stderr. Exit statuses: 0 completed,
1 failed, 2 usage error, 3 timed out, 4 scheduler unreachable, 130 Ctrl-C.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

from durabletask.azuremanaged.client import DurableTaskSchedulerClient

from hosting.clients import exit_statuses, valid_instance_id
from hosting.logs import configure_logging
from hosting.scheduler import Scheduler
from large_fan_out import fits_one_orchestration, schedule_large_fan_out

logger = logging.getLogger("client")

MAX_ITEMS = 100_000


def read_work_items(count: int) -> list[Any]:
    """Return the work items: any values that JSON can represent. Put yours here."""
    return list(range(1, count + 1))


def main(argv: Sequence[str] | None = None) -> int:
    """Schedule an orchestration, wait for it and print its result; return 0."""
    configure_logging("client")
    args = parse_arguments(argv)
    # Every error in this block ends the process with one line and its exit status
    with exit_statuses(args.timeout, attach="python client.py --attach") as run:
        scheduler = Scheduler.from_environment()
        logger.info(f"Using taskhub: {scheduler.task_hub}")
        logger.info(f"Using endpoint: {scheduler.endpoint}")
        client = DurableTaskSchedulerClient(
            **scheduler.connection(),  # endpoint, task hub and credential
            **run.options(scheduler),  # repeats a call while the scheduler does not answer
        )
        if args.attach:
            total, instance_id = None, run.attach(client, args.attach)
        else:
            # Generate work items
            work_items = read_work_items(args.number_of_items)
            total = len(work_items)
            logger.info(f"Starting new fan out/fan in orchestration with {total} work items")

            # Schedule a new orchestration instance
            run.require_unused(client, args.instance_id)
            if fits_one_orchestration(work_items):
                instance_id = client.schedule_new_orchestration(
                    "fan_out_fan_in_orchestrator", input=work_items, instance_id=args.instance_id
                )
            else:
                instance_id = schedule_large_fan_out(client, work_items, args.instance_id)
            logger.info(f"Started orchestration with ID = {instance_id}")

        # Wait for orchestration to complete
        logger.info("Waiting for orchestration to complete...")
        with run.waiting(client, instance_id, total):
            result = client.wait_for_orchestration_completion(instance_id, timeout=args.timeout)
        output = run.output_of(client, result)  # an error unless it has completed
        assert result is not None
        logger.info(f"Orchestration completed with status: {result.runtime_status}")
        print(json.dumps(output), flush=True)
    return 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; a usage error ends the process with status 2."""
    parser = argparse.ArgumentParser(description="Run a fan-out/fan-in orchestration.")
    parser.add_argument("number_of_items", nargs="?", type=int, help="1 to 100000 (default 10)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="default 60")
    which = parser.add_mutually_exclusive_group()
    for option, what in (("--instance-id", "its ID"), ("--attach", "wait for an earlier one")):
        which.add_argument(option, type=valid_instance_id, metavar="INSTANCE_ID", help=what)
    args = parser.parse_args(argv)
    if args.attach and args.number_of_items is not None:
        parser.error("a number of items does not go with --attach")
    args.number_of_items = 10 if args.number_of_items is None else args.number_of_items
    if not 1 <= args.number_of_items <= MAX_ITEMS:
        parser.error(f"number_of_items must be from 1 to {MAX_ITEMS}")
    if not 0 < args.timeout < 1e6:
        parser.error("--timeout must be more than 0 seconds")
    return args


if __name__ == "__main__":
    sys.exit(main())
