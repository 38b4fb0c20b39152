"""Downloaded histories that were opened; the last few are kept in memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from email import message_from_bytes
from email.policy import HTTP

from durabletask import history as h

from dts_emulator.dashboard.models import (
    ENDED,
    ORCHESTRATION_STATUSES,
    InstanceDetail,
    InstanceView,
)
from dts_emulator.dashboard.sdk_history import public_event
from dts_emulator.engine.history_json import read_history

LARGEST_BYTES = 32 * 1024 * 1024
KEPT = 8


class HistoryFiles:
    """The histories that readers have opened lately, each under a key of its content."""

    def __init__(self) -> None:
        self._details: OrderedDict[str, InstanceDetail] = OrderedDict()

    def open(self, content: bytes) -> str:
        """Keep a history and return its key.

        Raises:
            ValueError: it is invalid; the message says why.
        """
        detail = instance_of([public_event(event) for event in read_history(content)])
        key = hashlib.sha256(content).hexdigest()[:16]
        self._details[key] = detail
        if len(self._details) > KEPT:
            self._details.popitem(last=False)
        return key

    def find(self, key: str) -> InstanceDetail | None:
        """Return an opened history's instance, None if it is no longer kept."""
        return self._details.get(key)


def instance_of(history: Sequence[h.HistoryEvent]) -> InstanceDetail:
    """Return the instance of a history.

    Raises:
        ValueError: the ExecutionStarted event is missing.
    """
    started = next((e for e in history if isinstance(e, h.ExecutionStartedEvent)), None)
    if started is None:
        raise ValueError("The history has no ExecutionStarted event.")
    ended = next((e for e in reversed(history) if isinstance(e, h.ExecutionCompletedEvent)), None)
    instance, parent = started.orchestration_instance, started.parent_instance
    parent_instance = parent.orchestration_instance if parent else None
    view = InstanceView(
        instance_id=(instance.instance_id if instance else "") or "unknown",
        name=started.name,
        status=_status(ended),
        created_at=started.timestamp,
        last_updated_at=max(event.timestamp for event in history),
        completed_at=ended.timestamp if ended else None,
        version=started.version,
        parent_id=parent_instance.instance_id if parent_instance else None,
        tags=started.tags or {},
    )
    return InstanceDetail(
        instance=view,
        input=started.input,
        output=ended.result if ended else None,
        custom_status=None,
        failure=ended.failure_details if ended else None,
        history=history,
    )


def _status(ended: h.ExecutionCompletedEvent | None) -> str:
    """Return an orchestration's final status; after continue-as-new, it is running."""
    status = ORCHESTRATION_STATUSES.get(ended.orchestration_status, "") if ended else ""
    return status if status in ENDED else "RUNNING"


def uploaded(content_type: str, body: bytes) -> bytes:
    """Return the first file of a form of the type multipart/form-data, nothing without one."""
    head = b"Content-Type: " + content_type.encode() + b"\r\n\r\n"
    form = message_from_bytes(head + body, policy=HTTP)
    for part in form.iter_parts() if form.is_multipart() else ():
        if part.get_filename() is not None:
            content = part.get_payload(decode=True)
            return content if isinstance(content, bytes) else b""
    return b""
