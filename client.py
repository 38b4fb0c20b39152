"""The sample's client: schedules an orchestration with N work items and waits for its result.

The result goes to stdout as one line of JSON, everything else to stderr.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import uuid
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import grpc
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.client import OrchestrationState, OrchestrationStatus, TaskHubGrpcClient
from durabletask.task import FailureDetails

import logs
from errors import SCHEDULER_ERRORS, code_of, explain, is_passing
from progress import progress_bar
from scheduler import ConfigurationError, Scheduler

logger = logging.getLogger("client")

MAX_ITEMS = 100_000

# Longer lists are sent as a range: an input may have 1 MB, and a history holds it twice.
MAX_LISTED_ITEMS = 1000

# How long a scheduler that does not answer, or no longer answers, is waited for.
PATIENCE_SECONDS = 30.0


class Exit(IntEnum):
    """The exit statuses."""

    COMPLETED = 0
    FAILED = 1
    USAGE = 2
    TIMED_OUT = 3
    UNREACHABLE = 4
    INTERRUPTED = 130


class ClientError(Exception):
    """Ends the client with a message for its user and an exit status."""

    def __init__(self, status: Exit, message: str) -> None:
        super().__init__(message)
        self.status = status


def main(argv: Sequence[str] | None = None) -> int:
    """Schedule an orchestration, wait for it and print its result.

    Returns:
        One of Exit.
    """
    args = parse_arguments(argv)
    logs.configure("client")
    try:
        target = Scheduler.from_environment()
        logger.info(f"Using taskhub: {target.task_hub}")
        logger.info(f"Using endpoint: {target.endpoint}")
        if target.authentication != "None":
            logger.info(f"Using authentication: {target.authentication}")
        result = run(target, args)
    except ConfigurationError as error:
        logger.error(error)
        return Exit.USAGE
    except ClientError as error:
        logger.error(error)
        return error.status
    print(json.dumps(result))
    return Exit.COMPLETED


def run(target: Scheduler, args: argparse.Namespace) -> Any:
    """Return the result of the orchestration that `args` ask for.

    Raises:
        ClientError: it did not complete, or the scheduler cannot be used.
    """
    instance_id = args.attach or args.instance_id or uuid.uuid4().hex
    how_to_attach = f"To wait for it again: python client.py --attach {instance_id}"
    scheduled = bool(args.attach)
    deadline = time.monotonic() + args.timeout
    quiet = logging.getLogger("durabletask")  # What it would say, we say ourselves.
    try:
        with DurableTaskSchedulerClient(**target.connection(), logger=quiet) as client:
            known = find(client, instance_id, min(PATIENCE_SECONDS, args.timeout)) is not None
            if args.attach and not known:
                raise ClientError(
                    Exit.USAGE, f"There is no orchestration with ID '{instance_id}' to attach to."
                )
            if not args.attach:
                schedule(client, instance_id, args.number_of_items, known)
                scheduled = True
            deadline = time.monotonic() + args.timeout
            logger.info("Waiting for orchestration to complete...")
            with progress_bar(client, instance_id):
                state = wait(client, instance_id, deadline)
        return output_of(state)
    except TimeoutError:
        raise ClientError(
            Exit.TIMED_OUT,
            f"The orchestration is still running after {args.timeout:g} s, and goes on; "
            f"is a worker running? {how_to_attach}",
        ) from None
    except KeyboardInterrupt:
        fate = (
            f"The orchestration goes on. {how_to_attach}" if scheduled else "Nothing was started."
        )
        raise ClientError(Exit.INTERRUPTED, f"Interrupted. {fate}") from None
    except SCHEDULER_ERRORS as error:
        advice = f" {how_to_attach}" if scheduled else ""
        raise ClientError(Exit.UNREACHABLE, explain(error, target) + advice) from None


def schedule(client: TaskHubGrpcClient, instance_id: str, count: int, known: bool) -> None:
    """Schedule the orchestration with the numbers 1 to `count` as its work items."""
    in_use = ClientError(
        Exit.USAGE,
        f"The instance ID '{instance_id}' is in use. Choose another one, "
        f"or wait for that orchestration: python client.py --attach {instance_id}",
    )
    if known:
        raise in_use
    work_items: Any = list(range(1, count + 1))
    if count > MAX_LISTED_ITEMS:
        work_items = {"first": 1, "last": count}
    logger.info(f"Starting new fan out/fan in orchestration with {count} work items")
    try:
        client.schedule_new_orchestration(
            "fan_out_fan_in_orchestrator", input=work_items, instance_id=instance_id
        )
    except grpc.RpcError as error:
        if code_of(error) is grpc.StatusCode.ALREADY_EXISTS:
            raise in_use from None
        raise
    logger.info(f"Started orchestration with ID = {instance_id}")


def find(client: TaskHubGrpcClient, instance_id: str, patience: float) -> OrchestrationState | None:
    """Return the instance's state, None if there is none; wait for a scheduler that is starting."""
    deadline = time.monotonic() + patience
    waiting = False
    while True:
        try:
            return client.get_orchestration_state(instance_id, fetch_payloads=False)
        except grpc.RpcError as error:
            if not is_passing(error) or time.monotonic() > deadline:
                raise
        if not waiting:
            logger.warning(f"No scheduler answers yet, waiting up to {patience:g} s for it")
            waiting = True
        time.sleep(0.25)


def wait(client: TaskHubGrpcClient, instance_id: str, deadline: float) -> OrchestrationState:
    """Return the state in which the orchestration ended; survive a scheduler that comes back.

    Raises:
        TimeoutError: it has not ended at `deadline` (of time.monotonic).
    """
    while (remaining := deadline - time.monotonic()) > 0:
        try:
            state = client.wait_for_orchestration_completion(instance_id, timeout=remaining)
        except grpc.RpcError as error:
            if not is_passing(error):
                raise
            logger.warning("Lost the connection to the scheduler, connecting again")
            state = find(client, instance_id, min(PATIENCE_SECONDS, remaining))
            if state is not None:
                continue
        if state is None:
            raise ClientError(
                Exit.UNREACHABLE,
                f"The scheduler no longer knows the orchestration '{instance_id}'. "
                "An emulator forgets everything when it stops: start the client again.",
            )
        return state
    raise TimeoutError


def output_of(state: OrchestrationState) -> Any:
    """Return the output of an orchestration that has completed.

    Raises:
        ClientError: it has failed or was terminated.
    """
    logger.info(f"Orchestration completed with status: {state.runtime_status}")
    if state.runtime_status is OrchestrationStatus.COMPLETED:
        return state.get_output()
    if state.failure_details is not None:
        cause = innermost(state.failure_details)
        raise ClientError(
            Exit.FAILED, f"The orchestration failed: {cause.error_type}: {cause.message}"
        )
    reason = f": {state.serialized_output}" if state.serialized_output else ""
    raise ClientError(Exit.FAILED, f"The orchestration was {state.runtime_status}{reason}")


def innermost(failure: FailureDetails) -> FailureDetails:
    """Return the failure that has caused all the others."""
    while failure.inner_failure is not None:
        failure = failure.inner_failure
    return failure


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; a wrong argument ends the process with status 2."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [number_of_items] [--timeout SECONDS] "
        "[--instance-id ID | --attach INSTANCE_ID]",
        description="Schedule a fan-out/fan-in orchestration and print its result as JSON.",
    )
    what = parser.add_mutually_exclusive_group()
    parser.add_argument(
        "number_of_items",
        nargs="?",
        type=item_count,
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
        "--instance-id", type=instance_id, metavar="ID", help="ID of the new orchestration instance"
    )
    what.add_argument(
        "--attach", type=instance_id, metavar="INSTANCE_ID", help="wait for one scheduled earlier"
    )
    args = parser.parse_args(argv)
    if args.attach and args.number_of_items is not None:
        parser.error("a number of items does not go with --attach")
    args.number_of_items = args.number_of_items or 10
    return args


def instance_id(text: str) -> str:
    """Return `text` if it can be an instance ID, by the service's documented limits."""
    if not (1 <= len(text) <= 100 and text.isascii() and text.isprintable()) or text[0] == "@":
        raise argparse.ArgumentTypeError(
            "an instance ID has 1 to 100 printable ASCII characters, the first of them not '@'"
        )
    return text


def item_count(text: str) -> int:
    """Return the number of work items that `text` stands for."""
    count = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= count <= MAX_ITEMS:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 to {MAX_ITEMS}")
    return count


def positive_seconds(text: str) -> float:
    """Return the positive, finite number of seconds that `text` stands for."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds greater than 0")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
