"""Schedules as the SDK's entity keeps them, made with the SDK's own classes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from durabletask.scheduled import ScheduleCreationOptions, ScheduleStatus
from durabletask.scheduled.models import ScheduleConfiguration, ScheduleState

from dts_emulator.engine.model import Entity
from tests.dashboard.histories import at, ns


def schedule(
    schedule_id: str = "nightly",
    orchestrator: str = "make_invoices",
    *,
    interval: timedelta = timedelta(hours=24),
    status: ScheduleStatus = ScheduleStatus.ACTIVE,
    next_run_at: datetime | None = None,
    last_run_at: datetime | None = None,
    end_at: datetime | None = None,
) -> Entity:
    """Make the entity of a schedule."""
    state = ScheduleState()
    state.status = status
    state.schedule_created_at = at(0)
    state.next_run_at, state.last_run_at = next_run_at, last_run_at
    state.schedule_configuration = ScheduleConfiguration.from_create_options(
        ScheduleCreationOptions(schedule_id, orchestrator, interval, end_at=end_at)
    )
    return Entity(f"@schedule@{schedule_id}", ns(0), state=json.dumps(state.to_json()))
