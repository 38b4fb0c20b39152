"""What the forms do, and whom they refuse."""

from __future__ import annotations

from html import unescape
from urllib.parse import quote

import pytest
from httpx2 import Response

from dts_emulator.dashboard.models import ALLOWED, STATUSES
from dts_emulator.engine.events import event_type
from tests.dashboard.asking import HOST, asking
from tests.dashboard.histories import fan_out_fan_in
from tests.dashboard.hubs import ShownHub, make_instance, running

RUN = "/taskhubs/default/instances/run-1"
OURS = {"Origin": HOST}


def post(hub: ShownHub, path: str = RUN, **form: str) -> Response:
    return asking(hub).post(path, data=form, headers=OURS, follow_redirects=False)


@pytest.mark.parametrize(
    ("status", "form", "kind", "content"),
    [
        ("RUNNING", {"action": "suspend", "reason": "lunch"}, "executionSuspended", "lunch"),
        ("RUNNING", {"action": "suspend"}, "executionSuspended", ""),
        ("SUSPENDED", {"action": "resume", "reason": "back"}, "executionResumed", "back"),
        (
            "RUNNING",
            {"action": "terminate", "reason": "größer & <b>"},
            "executionTerminated",
            '"gr\\u00f6\\u00dfer & <b>"',
        ),
        (
            "RUNNING",
            {"action": "raise_event", "name": "go", "data": '{"a": 1}'},
            "eventRaised",
            '{"a": 1}',
        ),
        ("RUNNING", {"action": "raise_event", "name": "go", "data": ""}, "eventRaised", ""),
    ],
)
def test_an_action_is_done_and_leads_back_to_the_instance(
    status: str, form: dict[str, str], kind: str, content: str
) -> None:
    hub = ShownHub(running(status=status))
    answer = post(hub, **form)
    [news] = hub.news()
    assert event_type(news) == kind
    assert getattr(news, kind).input.value == content
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{RUN}?done={form['action']}"


def test_a_rewind_is_offered_for_a_failed_instance_with_its_warning() -> None:
    hub = ShownHub(make_instance(status="FAILED", history=fan_out_fan_in()))
    shown = unescape(asking(hub).get(RUN).text)
    assert "Do not rewind an orchestration that uses retry policies" in shown
    answer = post(hub, action="rewind", reason="the service is back")
    assert answer.headers["location"] == f"{RUN}?done=rewind"
    instance = hub.real.store.instance("run-1")
    assert instance
    assert instance.rewind
    assert instance.rewind.executionRewound.reason.value == "the service is back"


@pytest.mark.parametrize("status", sorted(set(STATUSES) - {"FAILED"}))
def test_no_other_instance_is_rewound(status: str) -> None:
    hub = ShownHub(make_instance(status=status))
    assert 'value="rewind"' not in asking(hub).get(RUN).text
    assert post(hub, action="rewind").status_code == 409


def test_a_restart_leads_to_the_new_instance() -> None:
    hub = ShownHub(make_instance())
    answer = asking(hub).post(RUN, data={"action": "restart"}, headers=OURS)
    assert "Restarted: this is the new instance." in answer.text
    assert answer.url.path != RUN


def test_a_purge_leads_to_the_list() -> None:
    hub = ShownHub(make_instance())
    assert post(hub, action="purge").headers["location"] == "/taskhubs/default?done=purge"
    assert not hub.has("run-1")


def test_the_next_page_says_what_was_done() -> None:
    client = asking(ShownHub(running()))
    shown = client.post(RUN, data={"action": "suspend"}, headers=OURS).text
    assert '<p class="notice" role="status">Suspend requested.</p>' in shown


def test_a_strange_id_can_be_acted_upon() -> None:
    hub = ShownHub(running("a/b?c#d"))
    path = f"/taskhubs/default/instances/{quote('a/b?c#d', safe='')}"
    assert post(hub, path, action="terminate").headers["location"] == f"{path}?done=terminate"


def test_an_action_that_the_task_hub_refuses_shows_its_reason() -> None:
    hub = ShownHub(make_instance())
    answer = post(hub, action="terminate")
    assert answer.status_code == 409
    assert "This action is not allowed while the instance is COMPLETED." in answer.text
    assert f'href="{RUN}"' in answer.text


@pytest.mark.parametrize(
    ("path", "form", "status", "words"),
    [
        (RUN, {}, 400, "Unknown action."),
        (RUN, {"action": "explode"}, 400, "Unknown action."),
        (RUN, {"action": "raise_event"}, 400, "An event needs a name."),
        (RUN, {"action": "raise_event", "name": "go", "data": "{"}, 400, "data is not JSON"),
        (f"{RUN}0", {"action": "suspend"}, 404, "There is no instance run-10."),
        ("/taskhubs/x/instances/y", {"action": "suspend"}, 404, "There is no task hub x."),
    ],
)
def test_a_form_that_cannot_be_carried_out_says_why(
    path: str, form: dict[str, str], status: int, words: str
) -> None:
    hub = ShownHub(make_instance())
    answer = post(hub, path, **form)
    assert answer.status_code == status
    assert words in unescape(answer.text)
    assert hub.news() == []


@pytest.mark.parametrize("status", STATUSES)
def test_a_page_offers_what_the_status_allows(status: str) -> None:
    shown = asking(ShownHub(make_instance(status=status))).get(RUN).text
    offered = {action for action in ALLOWED if f'value="{action}"' in shown}
    assert offered == {action for action, statuses in ALLOWED.items() if status in statuses}


@pytest.mark.parametrize("action", ALLOWED)
@pytest.mark.parametrize("status", STATUSES)
def test_the_task_hub_does_what_the_page_offers_and_refuses_the_rest(
    action: str, status: str
) -> None:
    hub = ShownHub(running(status=status))
    answer = post(hub, action=action, name="go")
    assert answer.status_code == (303 if status in ALLOWED[action] else 409)


def test_a_read_only_dashboard_offers_no_action() -> None:
    client = asking(ShownHub(running()), read_only=True)
    assert 'method="post"' not in client.get(RUN).text


def test_a_read_only_dashboard_does_no_action() -> None:
    hub = ShownHub(running())
    client = asking(hub, read_only=True)
    assert client.post(RUN, data={"action": "terminate"}, headers=OURS).status_code == 405
    assert hub.news() == []


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
    hub = ShownHub(running())
    answer = asking(hub).post(RUN, data={"action": "terminate"}, headers=headers)
    assert answer.status_code == 403
    assert hub.news() == []


def test_a_browser_that_sends_no_origin_is_known_by_its_referer() -> None:
    hub = ShownHub(running())
    headers = {"Referer": f"{HOST}{RUN}"}
    asking(hub).post(RUN, data={"action": "terminate"}, headers=headers)
    assert [event_type(news) for news in hub.news()] == ["executionTerminated"]
