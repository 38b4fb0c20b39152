"""The list of a task hub's instances: which of them a query asks for, on which page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from dts_emulator.dashboard.links import Pager, page_number
from dts_emulator.dashboard.models import ENDED, STATUSES, HubView, InstanceQuery, InstanceView

INSTANCES_PER_PAGE = 50

AGES = {
    "5m": ("5 minutes", timedelta(minutes=5)),
    "1h": ("hour", timedelta(hours=1)),
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
}
"""The spans of time before now that a list can be narrowed to: (in words, how long)."""


@dataclass(frozen=True)
class Listing:
    """The instances that a request asks for, and how many of them have each status."""

    wanted: InstanceQuery
    instances: list[InstanceView]
    pager: Pager
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """How many match, whatever their status."""
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """How many of those shown, on all pages, can be purged."""
        status = self.wanted.status
        return sum(
            count for name, count in self.counts.items() if name in ENDED and status in (None, name)
        )

    @property
    def is_narrowed(self) -> bool:
        """Whether the query asks for anything but all top-level instances."""
        return replace(self.wanted, top_level=True) != InstanceQuery()


def parse_query(asked: Mapping[str, str], now: datetime) -> InstanceQuery:
    """Return what a query asks for; whatever in it makes no sense asks for nothing."""
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
    """Read a time as ISO 8601 has it, in UTC unless it says otherwise; None for anything else."""
    try:
        # Python 3.10 does not know the Z.
        moment = datetime.fromisoformat(value.removesuffix("Z"))
        utc = moment.replace(tzinfo=moment.tzinfo or timezone.utc)
        return utc.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def listing_of(hub: HubView, asked: Mapping[str, str], now: datetime) -> Listing:
    """Return the page of instances that a query asks for; a page past the end is the last."""
    wanted, number = parse_query(asked, now), page_number(asked.get("page"))
    counts = hub.count_by_status(wanted)
    while True:
        offset = (number - 1) * INSTANCES_PER_PAGE
        found, total = hub.instances(wanted, offset=offset, limit=INSTANCES_PER_PAGE)
        pager = Pager(total, INSTANCES_PER_PAGE, number)
        if found or number == pager.page:
            return Listing(wanted, found, pager, counts)
        number = pager.page
