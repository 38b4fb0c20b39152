"""URLs of pages: they support any instance ID, and keep filters across pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.convertors import Convertor, register_url_convertor


class _AnyText(Convertor[str]):
    """Matches every instance ID, with slashes and line breaks."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any_text", _AnyText())


def hub_path(hub: str) -> str:
    """Return the address of a task hub's page."""
    return f"/taskhubs/{quote(hub, safe='')}"


def instance_path(hub: str, instance_id: str) -> str:
    """Return the address of an instance's page; actions are posted to the same address."""
    return f"{hub_path(hub)}/instances/{quote(instance_id, safe='')}"


def start_path(hub: str) -> str:
    """Return the address of the page that starts an orchestration."""
    return f"{hub_path(hub)}/start"


def workers_path(hub: str) -> str:
    """Return the address of the page of a task hub's workers."""
    return f"{hub_path(hub)}/workers"


def entities_path(hub: str) -> str:
    """Return the address of the list of a task hub's entities."""
    return f"{hub_path(hub)}/entities"


def schedules_path(hub: str) -> str:
    """Return the address of a task hub's schedules; actions are posted to the same address."""
    return f"{hub_path(hub)}/schedules"


def entity_path(hub: str, entity_id: str) -> str:
    """Return the address of an entity's page; signals are posted to the same address."""
    return f"{entities_path(hub)}/{quote(entity_id, safe='')}"


def history_path(hub: str, instance_id: str) -> str:
    """Return the address of an instance's history as a file."""
    return f"{hub_path(hub)}/histories/{quote(instance_id, safe='')}"


def query_changer(current: Mapping[str, str]) -> Callable[..., str]:
    """Return a function that returns the current query with some parameters changed.

    `done` concerns one page view and is dropped.
    """

    def query(**changes: object) -> str:
        merged = {**current, "done": None, **changes}
        return "?" + urlencode({k: v for k, v in merged.items() if v not in (None, "")})

    return query


def page_number(asked: str | None) -> int:
    """Parse a page number of a query; an invalid one means the first page."""
    if asked and asked.isdecimal() and len(asked) < 10:
        return max(int(asked), 1)
    return 1


@dataclass(frozen=True)
class Pager:
    """The part of a long list on a page; a number past the end means the last page."""

    total: int
    size: int
    wanted: int

    @property
    def pages(self) -> int:
        """How many pages there are; an empty list has one."""
        return max(-(-self.total // self.size), 1)

    @property
    def page(self) -> int:
        """The page shown, from 1."""
        return min(self.wanted, self.pages)

    @property
    def start(self) -> int:
        """The index of the first entry shown."""
        return (self.page - 1) * self.size

    @property
    def stop(self) -> int:
        """The index after the last entry shown."""
        return min(self.start + self.size, self.total)
