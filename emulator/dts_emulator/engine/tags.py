"""Tags of orchestration instances and activities: how large they may be, and the display name.

https://learn.microsoft.com/azure/durable-task/scheduler/durable-task-scheduler-tags
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from dts_emulator.engine.errors import InvalidError

# Of an orchestration instance's tags as JSON in UTF-8. Activities have no such limit.
MAX_TAG_BYTES = 1000

# Tags under this prefix belong to the platform and are not listed.
PLATFORM_PREFIX = "durabletask."
DISPLAY_NAME = "durabletask.displayName"


def check_tags(tags: Mapping[str, str]) -> None:
    """Reject tags of an orchestration instance that are too large.

    Raises:
        InvalidError: as JSON they have more than 1,000 bytes.
    """
    size = len(json.dumps(dict(tags), ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_TAG_BYTES:
        raise InvalidError(
            f"The tags have {size:,} bytes as JSON; the limit is {MAX_TAG_BYTES:,} bytes. "
            "Put data into the input instead."
        )


def display_name(tags: Mapping[str, str], name: str) -> str:
    """Return the display name: the tag's, else the registered name."""
    return tags.get(DISPLAY_NAME) or name


def listed_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags without the platform's own."""
    return {key: value for key, value in tags.items() if not key.startswith(PLATFORM_PREFIX)}


def has_tag(tags: Mapping[str, str], wanted: str) -> bool:
    """Return whether a tag has this key, this value, or is this `key=value`."""
    return any(wanted in (key, value, f"{key}={value}") for key, value in tags.items())
