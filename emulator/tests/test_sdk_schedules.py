"""Programs written with the SDK behave as on the real scheduler: schedules."""

from __future__ import annotations

from datetime import timedelta

from durabletask.scheduled import ScheduleCreationOptions, ScheduledTaskClient, ScheduleStatus

from dts_emulator import Emulator
from tests.parts import auditing
from tests.processes import wait_until
from tests.programs import new_client, new_worker


def test_a_schedule_starts_orchestrations_until_it_is_deleted(emulator: Emulator) -> None:
    worker = new_worker(emulator, auditing)
    worker.configure_scheduled_tasks()
    with worker, new_client(emulator) as client:
        worker.start()
        schedules = ScheduledTaskClient(client)
        options = ScheduleCreationOptions(
            "nightly", "auditing", timedelta(seconds=1), orchestration_input="on time"
        )
        schedule = schedules.create_schedule(options)
        assert [found.schedule_id for found in schedules.list_schedules()] == ["nightly"]
        wait_until(lambda: len(client.get_all_orchestration_states()) >= 4, "it has run twice")
        schedule.pause()
        assert schedule.describe().status is ScheduleStatus.PAUSED
        schedule.resume()
        schedule.delete()
        wait_until(lambda: schedules.get_schedule("nightly") is None, "the schedule is gone")
