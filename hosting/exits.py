"""How a client ends: its exit statuses, and the words for everything that can go wrong."""

from __future__ import annotations

from hosting.interrupts import INTERRUPTED as STATUS_OF_CTRL_C

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from hosting.errors import SCHEDULER_ERRORS, explain
from scheduler import ConfigurationError, Scheduler


class Exit(IntEnum):
    """The exit statuses. They tell what has become of the orchestration."""

    COMPLETED = 0
    FAILED = 1
    USAGE = 2
    TIMED_OUT = 3
    UNREACHABLE = 4
    INTERRUPTED = STATUS_OF_CTRL_C


class ClientError(Exception):
    """Ends the client with a message for its user and an exit status."""

    def __init__(self, status: Exit, message: str) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def usage_errors(logger: logging.Logger) -> Iterator[None]:
    """End the process with status 2 and one line where the configuration is wrong."""
    try:
        yield
    except ConfigurationError as error:
        logger.error(error)
        raise SystemExit(Exit.USAGE) from None


@contextmanager
def exit_statuses(
    logger: logging.Logger, target: Scheduler, how_to_go_on: Callable[[], str]
) -> Iterator[None]:
    """End the process with a line of words and its status, whatever happens in the block.

    Args:
        logger: takes the line.
        target: the scheduler that the block talks to.
        how_to_go_on: says what has become of the orchestration, and how to wait for it again.
    """
    try:
        yield
        return
    except ClientError as error:
        status, message = error.status, str(error)
    except TimeoutError as error:
        status, message = Exit.TIMED_OUT, f"{error} {how_to_go_on()}"
    except KeyboardInterrupt:
        status, message = Exit.INTERRUPTED, f"Interrupted. {how_to_go_on()}"
    except SCHEDULER_ERRORS as error:
        status, message = Exit.UNREACHABLE, f"{explain(error, target)} {how_to_go_on()}"
    except BrokenPipeError:  # Who was to read the result has gone, and wants no more of it.
        raise SystemExit(Exit.COMPLETED) from None
    except OSError as error:
        status = Exit.USAGE
        message = f"The result cannot be written to stdout: {error.strerror}. {how_to_go_on()}"
    logger.error(message.strip())
    raise SystemExit(status) from None
