"""The first page, the list of instances, and what holds for every page."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import quote

import pytest

from tests.dashboard.asking import asking, page
from tests.dashboard.histories import History, failed_with
from tests.dashboard.hubs import ShownHub, finished_run, make_instance, many

HUB = "/taskhubs/default"

STRANGE_IDS = [
    "a/b",
    "a//b/",
    "what?",
    "#1",
    "50%",
    "two words",
    "ünï©ode",
    "\"quoted\" & 'more'",
    "<b>bold</b>",
    "a\nb",
    "report.json",
    "x/suspend",
    "a+b;c=d",
]


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
def test_healthz_tells_whether_the_emulator_is_ready(ready: bool, status: int) -> None:
    assert asking(ShownHub(), ready=ready).get("/healthz").status_code == status


def test_the_first_page_leads_to_each_task_hub() -> None:
    shown = asking(ShownHub(name="default"), ShownHub(name="other")).get("/").text
    assert '<a href="/taskhubs/default">default</a>' in shown
    assert '<a href="/taskhubs/other">other</a>' in shown


def test_the_first_page_counts_instances_by_status() -> None:
    hub = ShownHub(finished_run(), make_instance("b", status="FAILED"))
    shown = page(hub, "/")
    assert f'href="{HUB}?status=COMPLETED"' in shown
    assert f'href="{HUB}?status=FAILED"' in shown
    assert f'href="{HUB}?status=RUNNING"' not in shown


@pytest.mark.parametrize(
    ("workers", "waiting", "words"),
    [
        (0, 0, "No worker is connected."),
        (0, 1, "1 work item waits for one"),
        (0, 12, "12 work items wait for one"),
        (1, 0, "1 worker connected."),
        (2, 1500, "2 workers connected, 1,500 work items waiting."),
    ],
)
@pytest.mark.parametrize("path", ["/", HUB])
def test_the_state_of_the_workers_is_said_plainly(
    path: str, workers: int, waiting: int, words: str
) -> None:
    shown = page(ShownHub(workers=workers, waiting=waiting), path)
    assert words in re.sub("<[^>]+>", "", shown)


def test_work_without_a_worker_tells_how_to_start_one() -> None:
    assert "Start your worker program" in page(ShownHub(workers=0, waiting=1), "/")


@pytest.mark.parametrize("path", ["/", HUB])
def test_an_empty_task_hub_tells_what_to_run(path: str) -> None:
    assert "with a client" in page(ShownHub(), path)


def test_instances_are_listed_newest_first() -> None:
    hub = ShownHub(make_instance("old", created=1), make_instance("new", created=2))
    shown = page(hub, HUB)
    assert shown.index(">new</a>") < shown.index(">old</a>")


def test_a_row_shows_orchestrator_status_creation_and_duration() -> None:
    row = page(ShownHub(finished_run()), HUB).split('<tr id="i-run-1">')[1].split("</tr>")[0]
    for content in ("fan_out_fan_in_orchestrator", "Completed", "2026-11-24 03:00:00", "2.06 s"):
        assert content in row


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", 50),
        ("?page=3", 20),
        ("?page=99", 20),
        ("?page=0", 50),
        ("?page=-1", 50),
        ("?page=x", 50),
        ("?page=" + "9" * 5000, 50),
        ("?status=FAILED", 12),
        ("?status=nonsense", 50),
        ("?search=RUN-11", 11),
        ("?status=FAILED&search=run-11", 1),
    ],
)
def test_filter_search_and_page_are_in_the_address(query: str, rows: int) -> None:
    assert page(many(), HUB + query).count('<tr id="i-') == rows


def test_turning_the_page_keeps_the_filter() -> None:
    assert 'href="?status=COMPLETED&search=run&page=2"' in page(
        many(), f"{HUB}?status=COMPLETED&search=run"
    )


def test_changing_the_filter_goes_back_to_the_first_page() -> None:
    assert 'href="?status=FAILED"' in page(many(), f"{HUB}?page=2")


def test_a_search_without_a_match_says_so() -> None:
    assert "No instance matches" in page(many(), f"{HUB}?search=nothing")


@pytest.mark.parametrize("instance_id", STRANGE_IDS)
def test_any_instance_id_survives_in_links(instance_id: str) -> None:
    client = asking(ShownHub(make_instance(instance_id, output='"this one"')))
    link = f"{HUB}/instances/{quote(instance_id, safe='')}"
    assert f'href="{link}"' in client.get(HUB).text
    assert '<pre id="output">"this one"</pre>' in unescape(client.get(link).text)
    assert client.get(f"{link}.json").json()["instance_id"] == instance_id


@pytest.mark.parametrize("path", ["/taskhubs/none", f"{HUB}/instances/none", "/nowhere"])
def test_what_is_not_there_has_a_proper_404_page(path: str) -> None:
    answer = asking(ShownHub()).get(path)
    assert answer.status_code == 404
    assert "<h1>Not found</h1>" in answer.text


HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>"


def test_everything_shown_is_escaped() -> None:
    history = History().scheduled(0, 1, HOSTILE, HOSTILE).failed(1, 1, HOSTILE)
    hostile = make_instance(
        HOSTILE,
        name=HOSTILE,
        input=HOSTILE,
        output=HOSTILE,
        custom_status=HOSTILE,
        failure=failed_with(HOSTILE, HOSTILE, HOSTILE),
        parent_id=HOSTILE,
        history=history,
    )
    client = asking(ShownHub(hostile))
    link = f"{HUB}/instances/{quote(HOSTILE, safe='')}"
    for path in (
        "/",
        HUB,
        f"{HUB}?search={quote(HOSTILE)}",
        link,
        f"{link}?steps={quote(HOSTILE)}",
    ):
        shown = client.get(path).text
        assert "<script>" not in shown
        assert "<img src=x" not in shown


# The pages as JSON, for scripts


RUN = f"{HUB}/instances/run-1"


def test_the_list_has_a_json_twin() -> None:
    client = asking(many())
    twin = client.get(f"{HUB}.json?status=FAILED&search=run-11").json()
    assert (twin["task_hub"], twin["total"], twin["pages"]) == ("default", 1, 1)
    assert twin["instances"][0]["instance_id"] == "run-110"
    assert client.get(HUB, headers={"Accept": "application/json"}).json()["total"] == 120


def test_an_instance_has_a_json_twin_with_steps_and_history() -> None:
    twin = asking(ShownHub(finished_run())).get(f"{RUN}.json").json()
    assert twin["output"] == {"total_items": 10, "sum": 385, "average": 38.5}
    assert twin["duration_seconds"] == 2.06
    assert [step["name"] for step in twin["steps"]] == ["process_work_item"] * 10 + [
        "aggregate_results"
    ]
    assert twin["steps"][2]["output"] == {"item": 3, "result": 9}
    assert [event["type"] for event in twin["history"]][-1] == "ExecutionCompleted"


def test_a_json_twin_tells_why_a_step_failed() -> None:
    history = History().scheduled(0, 1).failed(1, 1, "no luck")
    twin = asking(ShownHub(make_instance(history=history))).get(f"{RUN}.json").json()
    assert twin["steps"][0]["failure"]["message"] == "no luck"


@pytest.mark.parametrize("output", ["NaN", "[1, Infinity]", "plain words", "["])
def test_a_value_that_is_no_json_stands_for_itself_in_the_twin(output: str) -> None:
    twin = asking(ShownHub(make_instance(output=output))).get(f"{RUN}.json").json()
    assert twin["output"] == output


@pytest.mark.parametrize("path", ["/taskhubs/none.json", f"{HUB}/instances/none.json"])
def test_what_is_not_there_is_an_error_in_json_too(path: str) -> None:
    answer = asking(ShownHub()).get(path)
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("There is no ")


def test_an_id_that_ends_in_json_is_not_mistaken_for_a_twin() -> None:
    client = asking(ShownHub(make_instance("a"), make_instance("a.json")))
    assert client.get(f"{HUB}/instances/a.json").headers["content-type"].startswith("text/html")
