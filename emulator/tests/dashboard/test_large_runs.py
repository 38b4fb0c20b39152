"""Runs with many sub-orchestrations: how far they are, where they are, and which item failed."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import pytest

from dts_emulator.dashboard.progress import progress_of
from dts_emulator.engine.model import StepCounts
from tests.dashboard.asking import asking, page
from tests.dashboard.histories import History, at
from tests.dashboard.hubs import NUMBERS, ShownHub, family, make_instance, running

HUB = "/taskhubs/default"
RUN = f"{HUB}/instances/run-1"


def words(hub: ShownHub, now: datetime | None = None) -> str:
    detail = hub.instance("run-1")
    assert detail
    progress = progress_of(detail.instance, now or at(60))
    return progress.words if progress else ""


# How far


def test_an_instance_tells_how_many_of_its_steps_are_done() -> None:
    assert words(ShownHub(running(unfinished=6))) == "4 of 10 steps done"


def test_failures_are_counted_apart() -> None:
    history = History().scheduled(0, 1).scheduled(0, 2).scheduled(0, 3).completed(1, 1).failed(1, 2)
    assert words(ShownHub(make_instance(status="RUNNING", history=history))) == (
        "2 of 3 steps done, 1 failed"
    )


def test_a_step_that_is_retried_is_one_step_that_goes_on() -> None:
    history = History().scheduled(0, 1).failed(1, 1).scheduled(2, 1)
    assert words(ShownHub(make_instance(status="RUNNING", history=history))) == "0 of 1 step done"


def test_sub_orchestrations_are_counted_through() -> None:
    hub = ShownHub(*family(parts=5, items=10))
    assert words(hub, at(6)) == "50 of 50 items in 5 parts"


def test_pace_and_the_time_left_are_told_where_all_parts_have_begun() -> None:
    parent, *parts = family(parts=2, items=100)
    del parts[1].history[-80:]
    hub = ShownHub(parent, *parts)
    assert words(hub, at(13)) == "120 of 200 items in 2 parts, 10/s, about 8 s left"


def test_a_part_that_has_not_begun_may_hold_anything() -> None:
    parent, *parts = family(parts=2, items=100)
    parts[1].history.clear()
    parts[1].status = NUMBERS["PENDING"]
    hub = ShownHub(parent, *parts)
    assert words(hub, at(11)) == "100 of at least 100 items in 2 parts (1 not started)"


def test_parts_without_activities_are_counted_themselves() -> None:
    parent, *parts = family(parts=3, items=1)
    for part in parts:
        part.history = History().turn(1).raw
    assert words(ShownHub(parent, *parts)) == "3 of 3 sub-orchestrations done"


def test_nothing_is_said_of_an_instance_without_steps() -> None:
    assert words(ShownHub(make_instance(status="RUNNING"))) == ""
    assert StepCounts().asked.total() == 0


def test_the_list_shows_a_bar_for_what_runs_alone() -> None:
    shown = page(ShownHub(running(), make_instance("done")), HUB)
    assert shown.count('class="meter"') == 1
    assert 'aria-label="4 of 10 steps done' in shown


# Where


def test_the_list_shows_top_level_instances_with_the_number_of_their_children() -> None:
    hub = ShownHub(*family(parts=100))
    shown = page(hub, HUB)
    assert shown.count('<tr id="i-') == 1
    assert "100 sub-orchestrations" in shown
    assert 'href="?all=yes"' in shown
    everything = page(hub, f"{HUB}?all=yes")
    assert everything.count('<tr id="i-') == 50
    assert "1\N{EN DASH}50 of 101 instances" in everything


def test_the_counts_are_those_of_what_is_listed() -> None:
    hub = ShownHub(*family(parts=9))
    assert "All 1<" in page(hub, HUB)
    assert "All 10<" in page(hub, f"{HUB}?all=yes")


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("tag=team", ["blue", "red"]),
        ("tag=team=red", ["red"]),
        ("tag=team%3D+red+", ["red"]),
        ("tag=team=", []),
        ("tag=red", ["red"]),
        ("tag=+blue+", ["blue"]),
        ("tag=re", []),
        ("tag=none", []),
        ("from=2026-11-24T03:00:05", ["red", "plain"]),
        ("to=2026-11-24T03:00:05Z", ["blue"]),
        ("from=2026-11-24T04:00:05%2B01:00&to=2026-11-24T03:00:06", ["red"]),
        ("from=nonsense", ["blue", "red", "plain"]),
        ("created=1h", []),
        ("created=nonsense", ["blue", "red", "plain"]),
        ("tag=team&status=FAILED&search=LU", ["blue"]),
    ],
)
def test_the_list_is_filtered_by_creation_and_tag(query: str, ids: list[str]) -> None:
    hub = ShownHub(
        make_instance("blue", created=0, tags={"team": "blue"}, status="FAILED"),
        make_instance("red", created=5, tags={"team": "red"}),
        make_instance("plain", created=6),
    )
    twin = asking(hub).get(f"{HUB}.json?{query}").json()
    assert {row["instance_id"] for row in twin["instances"]} == set(ids)


def test_a_list_of_the_last_hour_shows_what_is_that_young() -> None:
    now = datetime.now(timezone.utc)
    hub = ShownHub(
        make_instance("young", created_at=now - timedelta(minutes=5)),
        make_instance("old", created_at=now - timedelta(hours=2)),
    )
    shown = page(hub, f"{HUB}?created=1h")
    assert ">young</a>" in shown
    assert ">old</a>" not in shown
    assert '<option value="1h" selected>' in shown


# Which failed


def test_a_failure_leads_down_to_the_item() -> None:
    hub = ShownHub(*family(parts=3, items=10, failed_item=13))
    shown = page(hub, RUN)
    assert f'<a href="{RUN}?status=FAILED#step-2">Sub-orchestration task #2</a>' in shown
    child = f"{HUB}/instances/{quote('run-1:0002', safe='')}?status=FAILED"
    assert f'<a href="{child}#step-3">Activity task #3</a>' in shown
    assert f'<a href="{child}#step-3">process_work_item 13</a>' in shown
    assert '<tr id="step-3">' in page(hub, child)


def test_a_failure_that_names_no_step_leads_to_the_first_that_failed() -> None:
    history = History().scheduled(0, 4, "pay", "5").failed(1, 4)
    failed = make_instance(status="FAILED", history=history)
    failed.failure = history.raw[1].taskFailed.failureDetails
    assert f'<a href="{RUN}?status=FAILED#step-1">pay 5</a>' in page(ShownHub(failed), RUN)


@pytest.mark.parametrize(
    ("query", "steps"),
    [
        ("status=FAILED", [2]),
        ("find=3", [3]),
        ("find=RUN", [2]),
        ("status=COMPLETED&find=3", [3]),
        ("status=nonsense", [1, 2, 3]),
        ("find=nothing", []),
    ],
)
def test_steps_are_filtered_by_status_and_searched_by_input(query: str, steps: list[int]) -> None:
    history = (
        History().scheduled(0, 1, given='"x"').child(0, 2, "run-1:0002").scheduled(0, 3, given="3")
    )
    history.completed(1, 1).child_failed(1, 2, "no").completed(1, 3)
    shown = page(ShownHub(make_instance(history=history)), f"{RUN}?{query}")
    assert [n for n in (1, 2, 3) if f'<tr id="step-{n}">' in shown] == steps


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("PENDING", "None yet: no worker has started this instance."),
        ("RUNNING", "None yet: the instance is running."),
        ("SUSPENDED", "None yet: the instance is suspended."),
        ("FAILED", "None: the instance failed."),
        ("TERMINATED", "None: the instance was terminated."),
    ],
)
def test_an_empty_output_says_why(status: str, words: str) -> None:
    assert words in page(ShownHub(make_instance(status=status)), RUN)
