"""The sample's client: schedules an orchestration with N work items and waits for its result.

The result goes to stdout as one line of JSON, everything else to stderr. The exit status is 0 when
it has completed, 1 when it has failed or was terminated, 2 for a wrong argument or variable or an
stdout that takes no result, 3 when it still runs after --timeout, 4 when the scheduler cannot be
reached or refuses us, 130 after Ctrl-C. What was scheduled goes on after 3, 4 and 130.
"""

import hosting.interrupts  # noqa: F401  First: Ctrl-C then ends the other imports quietly.

import argparse
import json
import logging
import sys
from collections.abc import Sequence

from hosting.arguments import Parser, positive_seconds, whole_number
from hosting.arguments import instance_id as id_of_instance
from hosting.clients import connect
from hosting.exits import Exit
from hosting.outputs import output_of
from hosting.program import start
from hosting.progress import progress_bar
from large_fan_out import fits_one_orchestration, schedule_large_fan_out

logger = logging.getLogger("client")

MAX_ITEMS = 100_000


def main(argv: Sequence[str] | None = None) -> int:
    """Schedule an orchestration, wait for it and print its result.

    Returns:
        0. Anything else that happens ends the process with a line of words and its exit status.
    """
    start("client")
    args = parse_arguments(argv)
    with connect(logger, args.timeout, attach="python client.py --attach") as client:
        # Generate work items
        work_items = list(range(1, args.number_of_items + 1))
        total = None if args.attach else len(work_items)

        if args.attach:
            instance_id = client.attach(args.attach)
        else:
            # Schedule a new orchestration instance
            logger.info(f"Starting new fan out/fan in orchestration with {total} work items")
            if fits_one_orchestration(work_items):
                instance_id = client.schedule_new_orchestration(
                    "fan_out_fan_in_orchestrator", input=work_items, instance_id=args.instance_id
                )
            else:
                instance_id = schedule_large_fan_out(client, work_items, args.instance_id)
            logger.info(f"Started orchestration with ID = {instance_id}")
        if page := client.page_of(instance_id):
            logger.info(f"See the run: {page}")

        # Wait for orchestration to complete
        logger.info("Waiting for orchestration to complete...")
        with progress_bar(client.sdk, instance_id, total):
            result = client.wait_for_orchestration_completion(instance_id, timeout=args.timeout)
        logger.info(f"Orchestration completed with status: {result.runtime_status}")

        # Print the result
        print(json.dumps(output_of(client, result)))
    return Exit.COMPLETED


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; a wrong argument ends the process with status 2."""
    parser = Parser(
        usage="%(prog)s [number_of_items] [--timeout SECONDS] "
        "[--instance-id ID | --attach INSTANCE_ID]",
        description="Schedule a fan-out/fan-in orchestration and print its result as JSON.",
    )
    what = parser.add_mutually_exclusive_group()
    parser.add_argument(
        "number_of_items",
        nargs="?",
        type=whole_number(1, MAX_ITEMS),
        help=f"how many work items, 1 to {MAX_ITEMS} (default 10)",
    )
    parser.add_argument(
        "--timeout",
        type=positive_seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait for the result (default 60)",
    )
    what.add_argument(
        "--instance-id",
        type=id_of_instance,
        metavar="ID",
        help="ID of the new orchestration instance",
    )
    what.add_argument(
        "--attach", type=id_of_instance, metavar="INSTANCE_ID", help="wait for an earlier one"
    )
    args = parser.parse_args(argv)
    if args.attach and args.number_of_items is not None:
        parser.error("a number of items does not go with --attach")
    args.number_of_items = args.number_of_items or 10
    return args


if __name__ == "__main__":
    sys.exit(main())
