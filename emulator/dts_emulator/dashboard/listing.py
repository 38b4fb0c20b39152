"""The list of a task hub's instances that match a query, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from dts_emulator.dashboard.hub_adapter import HubAdapter
from dts_emulator.dashboard.links import Pager, page_number
from dts_emulator.dashboard.models import ENDED, STATUSES, InstanceQuery, InstanceView

INSTANCES_PER_PAGE = 50

AGES = {
    "5m": ("5 minutes", timedelta(minutes=5)),
    "1h": ("hour", timedelta(hours=1)),
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
}
"""The periods before now that a list can be limited to: (label, length)."""


@dataclass(frozen=True)
class Listing:
    """The instances that match a query, and their number by status."""

    wanted: InstanceQuery
    instances: list[InstanceView]
    pager: Pager
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """The number of matching instances in all statuses."""
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """The number of shown instances, on all pages, that can be purged."""
        status = self.wanted.status
        return sum(
            count for name, count in self.counts.items() if name in ENDED and status in (None, name)
        )

    @property
    def is_narrowed(self) -> bool:
        """Whether the query limits the list beyond top-level instances."""
        return replace(self.wanted, top_level=True) != InstanceQuery()


def parse_query(asked: Mapping[str, str], now: datetime) -> InstanceQuery:
    """Parse a query; invalid parameters are ignored."""
    status = asked.get("status")
    age = AGES.get(asked.get("created", ""))
    return InstanceQuery(
        status=status if status in STATUSES else None,
        search=asked.get("search", "").strip(),
        tag=asked.get("tag", "").strip(),
        created_from=now - age[1] if age else moment_of(asked.get("from", "")),
        created_to=moment_of(asked.get("to", "")),
        top_level=asked.get("all") != "yes",
    )


def moment_of(value: str) -> datetime | None:
    """Parse a time in ISO 8601, in UTC by default; None if it is invalid."""
    try:
        # Python 3.10 does not know the Z.
        moment = datetime.fromisoformat(value.removesuffix("Z"))
        utc = moment.replace(tzinfo=moment.tzinfo or timezone.utc)
        return utc.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def listing_of(hub: HubAdapter, asked: Mapping[str, str], now: datetime) -> Listing:
    """Return the page of a query; a page past the end means the last one."""
    wanted, number = parse_query(asked, now), page_number(asked.get("page"))
    counts = hub.count_by_status(wanted)
    while True:
        offset = (number - 1) * INSTANCES_PER_PAGE
        found, total = hub.instances(wanted, offset=offset, limit=INSTANCES_PER_PAGE)
        pager = Pager(total, INSTANCES_PER_PAGE, number)
        if found or number == pager.page:
            return Listing(wanted, found, pager, counts)
        number = pager.page
