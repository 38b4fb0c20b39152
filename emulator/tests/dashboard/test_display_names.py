"""The tag `durabletask.displayName` replaces the registered name wherever a page shows it."""

from __future__ import annotations

import re

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.events import string_value
from tests.dashboard.asking import asking, page, plain
from tests.dashboard.histories import History
from tests.dashboard.hubs import ShownHub, failed, make_instance

HUB = "/taskhubs/default"
TAGS = {"durabletask.displayName": "Order 7", "durabletask.other": "hidden", "team": "blue"}


def order(count: int = 3, *, names: bool = True) -> ShownHub:
    """Make a task hub with one order of so many activities, each with a display name."""
    history = History().turn(0.1)
    for number in range(1, count + 1):
        shown = f"process_work_item {number}" if names else None
        history.scheduled(0.2, number, "process_work_item", f"{number}", shown=shown)
    for number in range(1, count):
        history.completed(1, number, "1")
    history.failed(1, count, "no luck")
    return ShownHub(
        make_instance(
            name="order", tags=TAGS, status="FAILED", history=history, failure=failed("no luck")
        )
    )


def test_the_list_shows_it_and_keeps_the_registered_name_on_hover() -> None:
    shown = page(order(), HUB)
    assert '<span title="order">Order 7</span>' in shown
    assert "team=blue" in shown
    assert "durabletask.other" not in shown
    assert "displayName" not in shown


def test_the_list_is_searched_by_it_and_by_the_registered_name() -> None:
    for search in ("order 7", "ORDER"):
        found = asking(order()).get(f"{HUB}.json", params={"search": search}).json()
        assert [one["display_name"] for one in found["instances"]] == ["Order 7"]


def test_the_instances_page_and_its_title_show_it_beside_the_registered_name() -> None:
    shown = page(order(), f"{HUB}/instances/run-1")
    assert re.search("<title>Order 7 run-1", shown)
    assert re.search("<h1>Order 7 ", shown)
    assert "<dt>Orchestrator</dt><dd>order</dd>" in shown
    assert "Tag team" in shown
    assert "Tag durabletask" not in shown


def test_without_it_the_page_names_the_orchestrator_once() -> None:
    shown = page(ShownHub(make_instance(name="order")), f"{HUB}/instances/run-1")
    assert re.search("<h1>order ", shown)
    assert "<dt>Orchestrator</dt>" not in shown


def test_timeline_steps_and_failure_show_that_of_each_activity() -> None:
    shown = page(order(), f"{HUB}/instances/run-1")
    bars = re.findall(r'<span class="name">([^<]+)</span>', shown)
    assert bars == ["process_work_item 1", "process_work_item 2", "process_work_item 3"]
    assert "<dt>Name</dt><dd>process_work_item</dd>" in shown
    assert '<span title="process_work_item">process_work_item 2</span>' in shown
    assert "Failed at process_work_item 3" in plain(shown)


def test_a_sub_orchestration_has_that_of_its_tags() -> None:
    created = pb.SubOrchestrationInstanceCreatedEvent(
        instanceId="child",
        name="part",
        input=string_value("1"),
        tags={"durabletask.displayName": "Part A"},
    )
    history = History().turn(0.1).add(0.2, 1, subOrchestrationInstanceCreated=created)
    shown = page(ShownHub(make_instance(history=history)), f"{HUB}/instances/run-1")
    assert '<a href="/taskhubs/default/instances/child" title="part">Part A</a>' in shown


def test_many_steps_are_still_grouped_by_their_registered_name() -> None:
    shown = page(order(60), f"{HUB}/instances/run-1")
    assert '<span class="name" title="process_work_item">process_work_item</span>' in shown
    assert plain(shown).count("process_work_item \N{MULTIPLICATION SIGN} 60") == 1
    narrowed = page(order(60), f"{HUB}/instances/run-1?find=item+42")
    assert re.findall(r'<span class="name">([^<]+)</span>', narrowed) == ["process_work_item 42"]


def test_a_group_whose_steps_share_one_is_called_by_it() -> None:
    history = History().turn(0.1)
    for number in range(1, 61):
        history.scheduled(0.2, number, "work", shown="Ship it")
    shown = page(ShownHub(make_instance(history=history)), f"{HUB}/instances/run-1")
    assert '<span class="name" title="work">Ship it</span>' in shown


def test_scripts_get_both_names() -> None:
    twin = asking(order()).get(f"{HUB}/instances/run-1.json").json()
    assert (twin["name"], twin["display_name"]) == ("order", "Order 7")
    first = twin["steps"][0]
    assert (first["name"], first["display_name"]) == ("process_work_item", "process_work_item 1")
