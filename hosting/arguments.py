"""What several command lines have in common: their parser, and types of arguments."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from typing import IO, NoReturn


class Parser(ArgumentParser):
    """A parser whose messages may find nobody to read them, which Python 3.10 minds."""

    def error(self, message: str) -> NoReturn:
        """End the process with status 2."""
        with suppress(OSError):
            super().error(message)
        raise SystemExit(2)

    def print_help(self, file: IO[str] | None = None) -> None:  # type: ignore[override]
        """Print what --help asks for."""
        with suppress(OSError):
            super().print_help(file)


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return a type that takes the numbers from `low` to `high`."""

    def parse(text: str) -> int:
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else low - 1
        if not low <= number <= high:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return number

    return parse


def positive_seconds(text: str) -> float:
    """Return the positive, finite number of seconds that `text` stands for."""
    try:
        seconds = float(text) if text.isascii() else 0.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds greater than 0")
    return seconds


def instance_id(text: str) -> str:
    """Return `text` if it can be an instance ID.

    The limits are the service's:
    https://learn.microsoft.com/azure/durable-task/scheduler/durable-task-scheduler
    """
    if not (1 <= len(text) <= 100 and text.isascii() and text.isprintable()) or text[0] == "@":
        raise ArgumentTypeError(
            "an instance ID has 1 to 100 printable ASCII characters, the first of them not '@'"
        )
    return text
