"""The page of a task hub's workers, and of the work that waits for one."""

from __future__ import annotations

import pytest

from dts_emulator.hub.leases import Kind, WorkerStream, WorkRecord
from tests.dashboard.asking import asking, page, plain
from tests.dashboard.hubs import ShownHub

WORKERS = "/taskhubs/default/workers"


def busy_hub() -> tuple[ShownHub, WorkerStream]:
    """Make a hub with a worker that holds an activity, while two more wait."""
    hub = ShownHub(workers=0)
    stream = WorkerStream(
        dict.fromkeys(Kind, 1),
        lambda _kind, name, _version: name == "process_work_item",
        names={Kind.ACTIVITY: ["process_work_item"], Kind.ORCHESTRATOR: [], Kind.ENTITY: []},
        peer="ipv4:127.0.0.1:5000",
    )
    hub.connect(stream)
    hub.real.offer(Kind.ACTIVITY, "process_work_item", "", 1)
    hub.real.offer(Kind.ACTIVITY, "process_work_item", "", 2)
    hub.real.offer(Kind.ACTIVITY, "unknown", "2.0", 3)
    return hub, stream


def test_a_worker_shows_what_it_accepts_holds_and_has_done() -> None:
    hub, stream = busy_hub()
    for _ in range(30):
        stream.record.note("activity", hub.real.now() / 1e9)
    shown = plain(page(hub, WORKERS))
    assert "Worker 1 ipv4:127.0.0.1:5000" in shown
    assert "activity 1 1 30 process_work_item" in shown
    assert "orchestrator 0 1 0 none" in shown
    assert "Completed per second 30/s" in shown


def test_waiting_work_is_listed_by_name_with_whether_anybody_accepts_it() -> None:
    hub, _ = busy_hub()
    shown = plain(page(hub, WORKERS)).split("Pending work items")[1]
    assert "process_work_item activity 1" in shown
    assert "unknown version 2.0 No connected worker accepts it. activity 1" in shown


@pytest.mark.parametrize(
    ("given", "answered", "is_stuck"),
    [(31, None, True), (29, None, False), (31, 5, False), (31, 300, True), (None, 300, False)],
)
def test_a_worker_that_holds_work_and_says_nothing_for_30_seconds_is_marked(
    given: float | None, answered: float | None, is_stuck: bool
) -> None:
    hub, stream = busy_hub()
    now = hub.real.now() / 1e9
    stream.record.connected_at = now - 600
    stream.record.answered_at = None if answered is None else now - answered
    [item] = stream.held[Kind.ACTIVITY]
    item.dispatched_at = None if given is None else now - given
    assert ("has not responded for" in page(hub, WORKERS)) == is_stuck


def test_the_pace_is_that_of_the_last_seconds() -> None:
    record = WorkRecord(connected_at=100)
    for _ in range(50):
        record.note("activity", 200.5)
    assert record.per_second(201) == 5
    assert record.per_second(300) == 0
    record.note("activity", 300)
    assert record.per_second(300) == pytest.approx(0.1)
    assert record.completed["activity"] == 51


def test_workers_and_waiting_work_have_a_json_twin() -> None:
    hub, _ = busy_hub()
    twin = asking(hub).get(WORKERS, headers={"Accept": "application/json"}).json()
    assert twin["workers"][0]["kinds"][1] == {
        "kind": "activity",
        "accepts": ["process_work_item"],
        "held": 1,
        "limit": 1,
        "completed": 0,
    }
    assert {item["name"] for item in twin["waiting"]} == {"process_work_item", "unknown"}


def test_a_task_hub_without_workers_tells_how_to_start_one() -> None:
    assert "Start your worker program" in page(ShownHub(workers=0), WORKERS)
