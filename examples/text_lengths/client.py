"""The client of the quickstart's C# form: `python -m examples.text_lengths.client [ITEM ...]`."""

import hosting.interrupts  # noqa: F401  First: Ctrl-C then ends the other imports quietly.

import json
import logging
import sys
from collections.abc import Sequence

from hosting.arguments import Parser
from hosting.clients import connect
from hosting.exits import Exit
from hosting.outputs import output_of
from hosting.program import start

DEFAULT_ITEMS = ["Task1", "Task2", "Task3", "LongerTask4", "VeryLongTask5"]
TIMEOUT_SECONDS = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Schedule the orchestration, wait for it and print what the C# client does.

    Returns:
        0. Anything else that happens ends the process with a line and a status of Exit.
    """
    logger = start("client", level=logging.WARNING)
    parser = Parser(description="Let a worker measure the length of texts.")
    parser.add_argument("items", nargs="*", metavar="ITEM", help="a text (default: five of them)")
    work_items: list[str] = parser.parse_args(argv).items or DEFAULT_ITEMS

    print("Starting Fan-Out Fan-In Pattern - Parallel Processing Client")
    with connect(logger, TIMEOUT_SECONDS, worker="examples.text_lengths.worker") as client:
        authentication = client.target.authentication
        if authentication == "None":
            print("Using local emulator with no authentication")
        else:
            print(f"Using {client.target.endpoint} with authentication {authentication}")
        print(f"Starting parallel processing orchestration with {len(work_items)} work items")
        print(f"Work items: {json.dumps(work_items, separators=(',', ':'))}")

        instance_id = client.schedule_new_orchestration(
            "ParallelProcessingOrchestration", input=work_items
        )
        print(f"Started orchestration with ID: {instance_id}")

        print("Waiting for orchestration to complete...")
        state = client.wait_for_orchestration_completion(instance_id, timeout=TIMEOUT_SECONDS)
        results = output_of(client, state)

        print(f"Orchestration completed with status: {state.runtime_status.name.capitalize()}")
        print("Processing results:")
        for item, length in results.items():
            print(f"Work item: {item}, Result: {length}")
        print(f"Total items processed: {len(results)}")
    return Exit.COMPLETED


if __name__ == "__main__":
    sys.exit(main())
