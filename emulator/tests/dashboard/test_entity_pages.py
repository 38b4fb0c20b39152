"""The pages of entities, and the signals that they send."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.events import event
from dts_emulator.engine.model import Entity
from tests.dashboard.asking import asking, page, plain, post
from tests.dashboard.histories import History, ns
from tests.dashboard.hubs import ShownHub, make_instance

HUB = "/taskhubs/default"
COUNTER = f"{HUB}/entities/{quote('@counter@k1', safe='')}"


def hub_with_entity() -> ShownHub:
    hub = ShownHub()
    signal = pb.EntityOperationSignaledEvent(operation="add", requestId="r")
    called = pb.EntityOperationCalledEvent(operation="get", requestId="s")
    called.parentInstanceId.value = "caller"
    hub.put_entity(
        Entity(
            "@counter@k1",
            ns(5),
            state="41",
            locked_by="holder",
            queue=[event(ns(1), entityOperationSignaled=signal)],
            batch=[event(ns(1), entityOperationCalled=called)],
        )
    )
    return hub


def test_entities_are_listed_with_what_is_known_of_them() -> None:
    shown = page(hub_with_entity(), f"{HUB}/entities")
    assert "counter k1 41 2026-11-24 03:00:05 holder 2" in plain(shown)
    assert f'href="{COUNTER}"' in shown
    assert f'href="{HUB}/instances/holder"' in shown


def test_an_entity_shows_its_state_and_its_queue() -> None:
    shown = plain(page(hub_with_entity(), COUNTER))
    assert "State 41" in shown
    assert "1 operation with a worker, 1 waiting. get, called by caller running add" in shown


def test_entities_have_a_json_twin() -> None:
    accept = {"Accept": "application/json"}
    client = asking(hub_with_entity())
    [entity] = client.get(f"{HUB}/entities", headers=accept).json()["entities"]
    assert (entity["entity_id"], entity["state"]) == ("@counter@k1", "41")
    assert client.get(COUNTER, headers=accept).json()["entity"] == entity


@pytest.mark.parametrize(
    ("search", "found"), [("", 60), ("count", 60), ("@counter@5", 11), ("@other", 0)]
)
def test_entities_are_searched_and_paged(search: str, found: int) -> None:
    hub = ShownHub()
    for number in range(60):
        hub.put_entity(Entity(f"@counter@{number}", ns(0), state="1"))
    first = page(hub, f"{HUB}/entities?search={quote(search)}")
    rows = first.count('<tr id="e-')
    following = re.search(r'rel="next" href="([^"]+)"', first)
    if following:
        rows += page(hub, f"{HUB}/entities{following[1]}").count('<tr id="e-')
    assert rows == found


def test_an_entity_is_signalled() -> None:
    hub = hub_with_entity()
    answer = post(hub, COUNTER, name="add", data="2")
    assert answer.headers["location"] == f"{COUNTER}?done=signal"
    entity = hub.real.store.entity("@counter@k1")
    assert entity
    signal = entity.queue[-1].entityOperationSignaled
    assert (signal.operation, signal.input.value) == ("add", "2")


@pytest.mark.parametrize(
    ("entity_id", "form", "status"),
    [
        ("@counter@k1", {"name": " "}, 400),
        ("@counter@k1", {"name": "add", "data": "{"}, 400),
        ("counter", {"name": "add"}, 409),
        ("@counter@k1", {"name": "add", "data": f'"{"x" * (1 << 20)}"'}, 409),
    ],
    ids=["no operation", "no JSON", "no entity ID", "too large"],
)
def test_a_signal_that_cannot_be_sent_says_why(
    entity_id: str, form: dict[str, str], status: int
) -> None:
    path = f"{HUB}/entities/{quote(entity_id, safe='')}"
    assert post(hub_with_entity(), path, **form).status_code == status


def test_an_orchestration_links_to_the_entity_that_it_calls() -> None:
    called = pb.EntityOperationCalledEvent(operation="add", requestId="r")
    called.targetInstanceId.value = "@counter@k1"
    history = History().add(1, 1, entityOperationCalled=called)
    shown = page(ShownHub(make_instance(history=history)), f"{HUB}/instances/run-1")
    assert f'<a href="{COUNTER}">@counter@k1 add</a>' in shown


def test_an_entity_of_which_nothing_is_kept_can_still_be_signalled() -> None:
    assert "This entity has no state" in page(ShownHub(), COUNTER)
    assert asking(ShownHub()).get(f"{HUB}/entities/nothing").status_code == 404
