"""Starting an orchestration from the dashboard, and purging what a list shows."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from html import unescape
from urllib.parse import quote

import pytest

from tests.dashboard.asking import HOST, asking, page, plain, post
from tests.dashboard.hubs import ShownHub, family, finished_run, make_instance, many

HUB = "/taskhubs/default"
START = f"{HUB}/start"
LATER = "2030-01-01T00:00:00"
OURS = {"Origin": HOST}


def test_an_orchestration_is_started_with_all_that_the_form_says() -> None:
    hub = ShownHub()
    answer = post(
        hub,
        START,
        name="run",
        input="[1, 2]",
        instance_id="mine",
        version="1.2",
        tags="team = blue\n\nowner=ann=e\r\n",
    )
    assert answer.headers["location"] == f"{HUB}/instances/mine?done=start"
    started = hub.real.store.instance("mine")
    assert started
    assert (started.name, started.input, started.version) == ("run", "[1, 2]", "1.2")
    assert started.tags == {"team": "blue", "owner": "ann=e"}


def test_a_start_can_be_scheduled_for_later_and_its_page_says_so() -> None:
    hub = ShownHub()
    post(hub, START, name="run", instance_id="mine", start_at="2126-11-30T08:00")
    started = hub.real.store.instance("mine")
    assert started
    start = datetime(2126, 11, 30, 8, tzinfo=timezone.utc)
    assert started.starts_at == int(start.timestamp()) * 10**9
    shown = plain(page(hub, f"{HUB}/instances/mine"))
    assert "Scheduled start ( UTC ) 2126-11-30 08:00:00" in shown
    assert "Scheduled start" not in plain(page(ShownHub(finished_run()), f"{HUB}/instances/run-1"))


def test_an_id_is_made_for_an_instance_without_one() -> None:
    answer = post(ShownHub(), START, name="run")
    assert re.search(r"/instances/[0-9a-f]{32}\?done=start$", answer.headers["location"])


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({"name": ""}, 400, "needs the name"),
        ({"name": "run", "input": "{"}, 400, "The input is not JSON"),
        ({"name": "run", "tags": "team"}, 400, "Invalid tag 'team'"),
        ({"name": "run", "tags": f"k={'v' * 1000}"}, 409, "The tags have 1,008 bytes"),
        ({"name": "run", "start_at": "soon"}, 400, "Invalid scheduled start 'soon'"),
        ({"name": "run", "instance_id": "run-1"}, 409, "already exists"),
        ({"name": "run", "instance_id": "@a@b"}, 409, "must not begin with '@'"),
        ({"name": "run", "input": f'"{"x" * (1 << 20)}"'}, 409, "the limit is"),
    ],
    ids=[
        "no name",
        "no JSON",
        "no tag",
        "large tags",
        "no time",
        "an ID in use",
        "an entity's ID",
        "too large",
    ],
)
def test_a_start_that_cannot_be_keeps_the_form_and_says_why(
    form: dict[str, str], status: int, words: str
) -> None:
    hub = ShownHub(finished_run())
    answer = post(hub, START, **form)
    assert answer.status_code == status
    assert words in unescape(answer.text)
    for typed in form.values():
        assert typed[:50] in unescape(answer.text)
    assert hub.instances_count() == 1


def test_run_again_fills_the_form_with_what_the_instance_was_given() -> None:
    hub = ShownHub(make_instance(input="[7]", tags={"team": "blue"}))
    assert f'href="{START}?from=run-1"' in page(hub, f"{HUB}/instances/run-1")
    shown = page(hub, f"{START}?from=run-1")
    assert 'value="fan_out_fan_in_orchestrator"' in shown
    assert "[7]</textarea>" in shown
    assert "team=blue</textarea>" in shown
    assert 'name="instance_id" value=""' in shown


@pytest.mark.parametrize("path", [START, HUB, f"{HUB}/entities/{quote('@a@b', safe='')}"])
def test_the_guards_of_the_other_actions_hold_here_too(path: str) -> None:
    hub = ShownHub(finished_run())
    form = {"action": "purge_all", "name": "run", "shown_at": LATER}
    assert asking(hub).post(path, data=form).status_code == 403
    client = asking(hub, read_only=True)
    assert client.post(path, data=form, headers=OURS).status_code == 405
    assert hub.instances_count() == 1
    assert 'method="post"' not in client.get(path).text


def test_all_that_a_filter_shows_is_purged_and_the_number_is_told_before_and_after() -> None:
    hub = many()
    listed = page(hub, f"{HUB}?status=FAILED")
    assert "Purge 12 ended instances</button>" in listed
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', listed))
    answer = asking(hub).post(HUB, data={**fields, "action": "purge_all"}, headers=OURS)
    assert "Purged 12 instances" in answer.text
    assert hub.instances_count() == 108


def test_what_was_created_since_the_list_was_shown_is_not_purged() -> None:
    hub = ShownHub(make_instance("old"), make_instance("new", created=10))
    post(hub, HUB, action="purge_all", shown_at="2026-11-24T03:00:05+00:00")
    assert hub.has("new")
    assert not hub.has("old")


def test_sub_orchestrations_go_and_what_runs_stays() -> None:
    hub = ShownHub(*family(parts=3, failed_item=3), make_instance("busy", status="RUNNING"))
    answer = post(hub, HUB, action="purge_all", shown_at=LATER)
    assert answer.headers["location"].endswith("?purged=4")
    assert hub.has("busy")
    assert hub.instances_count() == 1


def test_a_filter_of_running_instances_purges_nothing() -> None:
    hub = ShownHub(make_instance("done"), make_instance("busy", status="RUNNING"))
    assert "purge_all" not in page(hub, f"{HUB}?status=RUNNING")
    post(hub, HUB, action="purge_all", status="RUNNING", shown_at=LATER)
    assert hub.instances_count() == 2


def test_a_purge_without_the_time_of_the_list_is_refused() -> None:
    assert post(ShownHub(finished_run()), HUB, action="purge_all").status_code == 400
