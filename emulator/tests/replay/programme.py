"""Five orchestrators, and changes to their code: some fit the histories they have left.

A change is registered as `orchestrator/change`, so that one worker knows all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from durabletask import task

Steps = Generator[Any, Any, Any]
Context = task.OrchestrationContext

logger = logging.getLogger("tests.replay")

RETRIES = task.RetryPolicy(first_retry_interval=timedelta(seconds=5), max_number_of_attempts=3)


@dataclass(frozen=True)
class Change:
    """A changed orchestrator; `differs` is part of the difference's text, None where it fits."""

    name: str
    code: Callable[..., Any]
    history: str
    differs: str | None

    @property
    def registered_as(self) -> str:
        return self.code.__name__


CHANGES: list[Change] = []


def change(history: str, differs: str | None = None) -> Callable[[Any], Any]:
    """Note a function as a change to the orchestrator whose recorded history is named.

    A history's name is its orchestrator's, with what makes it special behind a dash.
    """

    def note(code: Any) -> Any:
        name = code.__name__
        code.__name__ = f"{history}/{name}"
        CHANGES.append(Change(name, code, history, differs))
        return code

    return note


# Activities and entities


def reserve(_: Any, order: str) -> str:
    return f"r-{order}"


def charge(_: Any, what: dict[str, str]) -> str:
    return f"c-{what['order']}"


def ship(_: Any, charged: str) -> None:
    return None


def plus(_: Any, numbers: list[int]) -> int:
    return sum(numbers)


def balance(entity: Any, amount: int) -> int:
    total = int(entity.get_state(int, 0)) + (amount or 0)
    entity.set_state(total)
    return total
