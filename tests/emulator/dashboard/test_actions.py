"""What the forms do, and whom they refuse."""

from __future__ import annotations

from html import unescape
from urllib.parse import quote

import pytest
from httpx2 import Response

from tests.emulator.dashboard.asking import HOST, asking
from tests.emulator.dashboard.fake_hub import FakeHub, make_instance

RUN = "/taskhubs/default/instances/run-1"
OURS = {"Origin": HOST}


def post(hub: FakeHub, path: str = RUN, **form: str) -> Response:
    return asking(hub).post(path, data=form, headers=OURS, follow_redirects=False)


@pytest.mark.parametrize(
    ("form", "noted"),
    [
        ({"action": "suspend", "reason": "lunch"}, ("suspend", "run-1", "lunch")),
        ({"action": "suspend"}, ("suspend", "run-1", "")),
        ({"action": "resume", "reason": "back"}, ("resume", "run-1", "back")),
        ({"action": "terminate", "reason": "größer & <b>"}, ("terminate", "run-1", "größer & <b>")),
        (
            {"action": "raise_event", "name": "go", "data": '{"a": 1}'},
            ("raise_event", "run-1", "go", '{"a": 1}'),
        ),
        ({"action": "raise_event", "name": "go", "data": ""}, ("raise_event", "run-1", "go", "")),
    ],
)
def test_an_action_is_done_and_leads_back_to_the_instance(
    form: dict[str, str], noted: tuple[str, ...]
) -> None:
    hub = FakeHub(make_instance(status="RUNNING"))
    answer = post(hub, **form)
    assert hub.actions == [noted]
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{RUN}?done={form['action']}"


def test_a_restart_leads_to_the_new_instance() -> None:
    hub = FakeHub(make_instance())
    assert (
        post(hub, action="restart")
        .headers["location"]
        .startswith("/taskhubs/default/instances/again?")
    )


def test_a_purge_leads_to_the_list() -> None:
    hub = FakeHub(make_instance())
    assert post(hub, action="purge").headers["location"] == "/taskhubs/default?done=purge"
    assert hub.details == {}


def test_the_next_page_says_what_was_done() -> None:
    client = asking(FakeHub(make_instance(status="RUNNING")))
    shown = client.post(RUN, data={"action": "suspend"}, headers=OURS).text
    assert '<p class="notice" role="status">Asked to suspend.</p>' in shown


def test_a_strange_id_can_be_acted_upon() -> None:
    hub = FakeHub(make_instance("a/b?c#d", status="RUNNING"))
    path = f"/taskhubs/default/instances/{quote('a/b?c#d', safe='')}"
    assert post(hub, path, action="terminate").headers["location"] == f"{path}?done=terminate"


def test_an_action_that_the_task_hub_refuses_shows_its_reason() -> None:
    hub = FakeHub(make_instance())
    hub.refuse_with = "It has already ended."
    answer = post(hub, action="terminate")
    assert answer.status_code == 409
    assert "It has already ended." in answer.text
    assert f'href="{RUN}"' in answer.text


@pytest.mark.parametrize(
    ("path", "form", "status", "words"),
    [
        (RUN, {}, 400, "There is no such action."),
        (RUN, {"action": "explode"}, 400, "There is no such action."),
        (RUN, {"action": "raise_event"}, 400, "An event needs a name."),
        (RUN, {"action": "raise_event", "name": "go", "data": "{"}, 400, "data is not JSON"),
        (f"{RUN}0", {"action": "suspend"}, 404, "There is no instance run-10."),
        ("/taskhubs/x/instances/y", {"action": "suspend"}, 404, "There is no task hub x."),
    ],
)
def test_a_form_that_cannot_be_carried_out_says_why(
    path: str, form: dict[str, str], status: int, words: str
) -> None:
    hub = FakeHub(make_instance())
    answer = post(hub, path, **form)
    assert answer.status_code == status
    assert words in unescape(answer.text)
    assert hub.actions == []


@pytest.mark.parametrize(
    ("status", "offered"),
    [
        ("PENDING", {"terminate", "raise_event"}),
        ("RUNNING", {"suspend", "terminate", "raise_event"}),
        ("SUSPENDED", {"resume", "terminate", "raise_event"}),
        ("COMPLETED", {"restart", "purge"}),
        ("FAILED", {"restart", "purge"}),
        ("TERMINATED", {"restart", "purge"}),
    ],
)
def test_a_page_offers_what_the_status_allows(status: str, offered: set[str]) -> None:
    shown = asking(FakeHub(make_instance(status=status))).get(RUN).text
    every = ("suspend", "resume", "terminate", "restart", "purge", "raise_event")
    assert {action for action in every if f'value="{action}"' in shown} == offered


def test_a_read_only_dashboard_offers_no_action() -> None:
    client = asking(FakeHub(make_instance(status="RUNNING")), read_only=True)
    assert 'method="post"' not in client.get(RUN).text


def test_a_read_only_dashboard_does_no_action() -> None:
    hub = FakeHub(make_instance(status="RUNNING"))
    client = asking(hub, read_only=True)
    assert client.post(RUN, data={"action": "terminate"}, headers=OURS).status_code == 405
    assert hub.actions == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "http://localhost:8082.evil.example"},
        {"Referer": "http://evil.example/http://localhost:8082/"},
        {"Origin": "http://evil.example", "Referer": f"{HOST}/"},
    ],
)
def test_a_form_on_another_sites_page_does_nothing(headers: dict[str, str]) -> None:
    hub = FakeHub(make_instance(status="RUNNING"))
    answer = asking(hub).post(RUN, data={"action": "terminate"}, headers=headers)
    assert answer.status_code == 403
    assert hub.actions == []


def test_a_browser_that_sends_no_origin_is_known_by_its_referer() -> None:
    hub = FakeHub(make_instance(status="RUNNING"))
    headers = {"Referer": f"{HOST}{RUN}"}
    asking(hub).post(RUN, data={"action": "terminate"}, headers=headers)
    assert hub.actions == [("terminate", "run-1", "")]
