"""The service's limit on one payload: an input, an output, an event or a custom status.

Azure takes at most 1 MiB each:
https://learn.microsoft.com/azure/durable-task/scheduler/durable-task-scheduler#limitations
"""

from __future__ import annotations

import re

from google.protobuf.message import Message

MAX_PAYLOAD_BYTES = 1024 * 1024

# The largest message that the emulator sends and receives.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

_PAYLOAD_TYPE = "google.protobuf.StringValue"


def oversized(message: Message, limit: int) -> str | None:
    """Describe the first payload in `message` that exceeds `limit` bytes, if any.

    Args:
        message: any request; payloads are found at any depth.
        limit: bytes; 0 means unlimited.

    Returns:
        A sentence with the payload's name, its size and the limit, and the step that it belongs to,
        or None.
    """
    # The size of the whole is cheap to compute and nearly always decides.
    if not limit or message.ByteSize() <= limit:
        return None
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for part in value if field.is_repeated else [value]:
            found = _oversized_payload(field.name, part, limit) or oversized(part, limit)
            if found:
                step = getattr(part, "name", "")  # An activity, a sub-orchestration, an event.
                return f"'{step}': {found}" if step and isinstance(step, str) else found
    return None


def _oversized_payload(name: str, part: Message, limit: int) -> str | None:
    if part.DESCRIPTOR.full_name != _PAYLOAD_TYPE:
        return None
    size = len(part.value.encode())  # type: ignore[attr-defined]  # a StringValue
    if size <= limit:
        return None
    words = re.sub("[A-Z]", lambda capital: f" {capital[0].lower()}", name)
    return (
        f"The {words} has {size:,} bytes; the limit is {limit:,} bytes. Pass a reference instead."
    )
