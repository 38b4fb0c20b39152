"""The page of schedules, and what its buttons do."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import quote

import pytest
from durabletask.scheduled import ScheduleCreationOptions, ScheduledTaskClient, ScheduleStatus

from dts_emulator import Emulator
from dts_emulator.dashboard.hub_adapter import HubAdapter
from dts_emulator.engine.model import Entity
from tests.dashboard.asking import asking, page, plain, post
from tests.dashboard.histories import at, ns
from tests.dashboard.hubs import ShownHub
from tests.dashboard.schedules import schedule
from tests.parts import auditing
from tests.processes import wait_until
from tests.programs import new_client, new_worker

SCHEDULES = "/taskhubs/default/schedules"


def shown(*entities: Entity) -> ShownHub:
    hub = ShownHub()
    for entity in entities:
        hub.put_entity(entity)
    return hub


def test_a_schedule_is_listed_with_its_next_and_its_last_run() -> None:
    hub = shown(schedule(next_run_at=at(3600), last_run_at=at(60), end_at=at(86_400)))
    html = page(hub, SCHEDULES)
    words = plain(html)
    assert "nightly until 2026-11-25 03:00:00" in words
    assert "make_invoices ▸ Active 1 d 2026-11-24 04:00:00 2026-11-24 03:01:00" in words
    assert f'href="/taskhubs/default/entities/{quote("@schedule@nightly", safe="")}"' in html


@pytest.mark.parametrize(
    ("status", "offered", "missing"),
    [(ScheduleStatus.ACTIVE, "pause", "resume"), (ScheduleStatus.PAUSED, "resume", "pause")],
)
def test_a_schedule_is_paused_or_resumed_and_deleted(
    status: ScheduleStatus, offered: str, missing: str
) -> None:
    html = page(shown(schedule(status=status)), SCHEDULES)
    assert f'value="{offered}_schedule"' in html
    assert f'value="{missing}_schedule"' not in html
    assert 'value="delete"' in html


@pytest.mark.parametrize("action", ["pause_schedule", "resume_schedule", "delete"])
def test_an_action_is_a_signal_to_the_schedules_entity(action: str) -> None:
    hub = shown(schedule())
    answer = post(hub, SCHEDULES, action=action, entity_id="@schedule@nightly")
    assert answer.headers["location"] == f"{SCHEDULES}?done={action}"
    entity = hub.entity("@schedule@nightly")
    assert entity is not None
    assert list(entity.waiting) == [action]
    assert "1 operation waiting" in plain(page(hub, SCHEDULES))


@pytest.mark.parametrize(
    "form",
    [
        {"action": "create_schedule", "entity_id": "@schedule@nightly"},
        {"action": "delete", "entity_id": "@counter@k"},
        {"action": "delete"},
        {},
    ],
)
def test_other_operations_and_entities_are_not_reached(form: dict[str, str]) -> None:
    hub = shown(schedule(), Entity("@counter@k", ns(0), state="1"))
    assert post(hub, SCHEDULES, **form).status_code == 400
    assert not any(one.waiting for one in hub.entities("", "", 10))


@pytest.mark.parametrize(
    "state",
    [
        None,
        "7",
        "null",
        "[]",
        "no JSON",
        "{}",
        '{"Status": 1}',
        '{"ScheduleConfiguration": 3}',
        '{"Status": 1, "ScheduleConfiguration": {"ScheduleId": "x"}}',
        "[" * 5000,
    ],
)
def test_another_programs_entity_of_this_name_is_no_schedule(state: str | None) -> None:
    hub = shown(Entity("@schedule@other", ns(0), state=state), schedule())
    found = asking(hub).get(SCHEDULES, headers={"Accept": "application/json"}).json()
    assert [(one["schedule_id"], one["interval"]) for one in found["schedules"]] == [
        ("nightly", 86_400)
    ]


def test_states_of_older_workers_are_read_too() -> None:
    configuration = {
        "schedule_id": "old",
        "orchestration_name": "make_invoices",
        "interval_seconds": 90,
    }
    state = {"status": "Paused", "schedule_configuration": configuration}
    hub = shown(Entity("@schedule@old", ns(0), state=json.dumps(state)))
    words = plain(page(hub, SCHEDULES)).replace("\N{EN DASH}", "-")
    assert "make_invoices ‖ Paused 1 min 30 s - -" in words


def test_many_schedules_come_in_pages() -> None:
    hub = shown(*(schedule(f"s{number:03}") for number in range(60)))
    first = page(hub, SCHEDULES)
    assert first.count('<tr id="s-') == 50
    assert "after=%40schedule%40s049" in first
    assert page(hub, f"{SCHEDULES}?after=%40schedule%40s049").count('<tr id="s-') == 10


def test_without_schedules_the_page_says_how_one_is_made() -> None:
    assert "A client creates schedules" in page(ShownHub(), SCHEDULES)


def test_a_read_only_page_has_no_buttons() -> None:
    answer = asking(shown(schedule()), read_only=True).get(SCHEDULES)
    assert "nightly" in answer.text
    assert "<button name" not in answer.text


def test_a_real_schedule_is_paused_resumed_and_deleted_by_the_page() -> None:
    with Emulator() as emulator:
        worker = new_worker(emulator, auditing)
        worker.configure_scheduled_tasks()
        overview = HubAdapter(emulator.hubs["default"])
        client_of_page = asking(overview)
        with worker, new_client(emulator) as client:
            worker.start()
            schedules = ScheduledTaskClient(client)
            options = ScheduleCreationOptions("nightly", "auditing", timedelta(days=1))
            made = schedules.create_schedule(options)
            words = plain(client_of_page.get(SCHEDULES).text)
            assert "auditing ▸ Active 1 d" in words
            post(overview, SCHEDULES, action="pause_schedule", entity_id="@schedule@nightly")
            wait_until(lambda: made.describe().status is ScheduleStatus.PAUSED, "it is paused")
            post(overview, SCHEDULES, action="resume_schedule", entity_id="@schedule@nightly")
            wait_until(lambda: made.describe().status is ScheduleStatus.ACTIVE, "it is resumed")
            post(overview, SCHEDULES, action="delete", entity_id="@schedule@nightly")
            wait_until(lambda: schedules.get_schedule("nightly") is None, "it is gone")
