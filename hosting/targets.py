"""The scheduler that the environment names, told to the user."""

from __future__ import annotations

import logging

from scheduler import Scheduler


def scheduler_in_use(logger: logging.Logger) -> Scheduler:
    """Return the scheduler that the environment names, and log which one it is.

    Raises:
        ConfigurationError: a variable has a value that cannot be used.
    """
    target = Scheduler.from_environment()
    logger.info(f"Using taskhub: {target.task_hub}")
    logger.info(f"Using endpoint: {target.endpoint}")
    if target.authentication != "None":
        logger.info(f"Using authentication: {target.authentication}")
    return target
