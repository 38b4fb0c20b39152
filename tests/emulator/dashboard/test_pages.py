"""What the pages and their JSON twins show."""

from __future__ import annotations

import time
from html import unescape
from urllib.parse import quote

import pytest
from durabletask.task import FailureDetails

from emulator.views import STATUSES
from tests.emulator.dashboard.asking import asking
from tests.emulator.dashboard.fake_hub import FakeHub, finished_run, make_instance
from tests.emulator.dashboard.histories import OUTPUT, History, at, fan_out_fan_in

HUB = "/taskhubs/default"
RUN = f"{HUB}/instances/run-1"

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


def page(hub: FakeHub, path: str) -> str:
    answer = asking(hub).get(path)
    assert answer.status_code == 200
    return unescape(answer.text)


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
def test_healthz_tells_whether_the_emulator_is_ready(ready: bool, status: int) -> None:
    assert asking(FakeHub(), ready=ready).get("/healthz").status_code == status


def test_the_first_page_leads_to_each_task_hub() -> None:
    shown = asking(FakeHub(name="default"), FakeHub(name="other")).get("/").text
    assert '<a href="/taskhubs/default">default</a>' in shown
    assert '<a href="/taskhubs/other">other</a>' in shown


def test_the_first_page_counts_instances_by_status() -> None:
    hub = FakeHub(finished_run(), make_instance("b", status="FAILED"))
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
    assert words in page(FakeHub(workers=workers, waiting=waiting), path)


def test_work_without_a_worker_tells_how_to_start_one() -> None:
    assert "python worker.py" in page(FakeHub(workers=0, waiting=1), "/")


@pytest.mark.parametrize("path", ["/", HUB])
def test_an_empty_task_hub_tells_what_to_run(path: str) -> None:
    assert "python client.py" in page(FakeHub(), path)


def test_instances_are_listed_newest_first() -> None:
    hub = FakeHub(make_instance("old", created=1), make_instance("new", created=2))
    shown = page(hub, HUB)
    assert shown.index(">new</a>") < shown.index(">old</a>")


def test_a_row_shows_orchestrator_status_creation_and_duration() -> None:
    row = page(FakeHub(finished_run()), HUB).split('<tr id="i-run-1">')[1].split("</tr>")[0]
    for content in ("fan_out_fan_in_orchestrator", "Completed", "2026-11-24 03:00:00", "2.06 s"):
        assert content in row


def many() -> FakeHub:
    return FakeHub(
        *(
            make_instance(f"run-{i}", created=i, status="FAILED" if i % 10 == 0 else "COMPLETED")
            for i in range(120)
        )
    )


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


def test_a_finished_instance_shows_its_output() -> None:
    shown = page(FakeHub(finished_run()), RUN)
    assert f'<pre id="output">{OUTPUT}</pre>' in shown
    assert '<pre id="input">[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]</pre>' in shown


def test_each_step_has_a_bar_and_a_row() -> None:
    shown = page(FakeHub(finished_run()), RUN)
    for number in range(1, 12):
        assert f'<li id="bar-{number}">' in shown
        assert f'<tr id="step-{number}">' in shown


def test_every_history_event_is_shown() -> None:
    shown = page(FakeHub(finished_run()), RUN)
    assert shown.count('<tr id="event-') == len(fan_out_fan_in())
    assert "ExecutionCompleted" in shown


def test_a_failure_shows_type_message_stack_and_cause() -> None:
    failure = FailureDetails("no", "OrderError", "line 7", FailureDetails("bank", "IOError", None))
    shown = page(FakeHub(make_instance(status="FAILED", failure=failure)), RUN)
    for content in ("<strong>OrderError</strong>: no", "line 7", "<strong>IOError</strong>: bank"):
        assert content in shown


def test_a_retried_step_shows_its_attempts() -> None:
    history = History().scheduled(0, 1).failed(1, 1).scheduled(2, 1).completed(3, 1)
    assert "2 attempts" in page(FakeHub(make_instance(history=history.events)), RUN)


def test_custom_status_is_shown_when_there_is_one() -> None:
    assert "Custom status" in page(FakeHub(make_instance(custom_status='"half way"')), RUN)
    assert "Custom status" not in page(FakeHub(make_instance()), RUN)


def test_a_child_leads_to_its_parent() -> None:
    assert f'href="{HUB}/instances/boss"' in page(FakeHub(make_instance(parent_id="boss")), RUN)


def test_an_instance_without_history_has_a_page() -> None:
    shown = page(FakeHub(make_instance(status="PENDING", history=[])), RUN)
    assert "No step has been scheduled yet." in shown


@pytest.mark.parametrize("status", STATUSES)
def test_only_an_instance_that_can_still_change_is_refreshed(status: str) -> None:
    ended = status in ("COMPLETED", "FAILED", "TERMINATED")
    shown = page(FakeHub(make_instance(status=status)), RUN)
    assert f'data-live="{"no" if ended else "yes"}"' in shown


@pytest.mark.parametrize("instance_id", STRANGE_IDS)
def test_any_instance_id_survives_in_links(instance_id: str) -> None:
    client = asking(FakeHub(make_instance(instance_id, output='"this one"')))
    link = f"{HUB}/instances/{quote(instance_id, safe='')}"
    assert f'href="{link}"' in client.get(HUB).text
    assert '<pre id="output">"this one"</pre>' in unescape(client.get(link).text)
    assert client.get(f"{link}.json").json()["instance_id"] == instance_id


def test_an_id_that_ends_in_json_is_not_mistaken_for_a_twin() -> None:
    client = asking(FakeHub(make_instance("a"), make_instance("a.json")))
    assert client.get(f"{HUB}/instances/a.json").headers["content-type"].startswith("text/html")


def test_the_list_has_a_json_twin() -> None:
    client = asking(many())
    twin = client.get(f"{HUB}.json?status=FAILED&search=run-11").json()
    assert (twin["task_hub"], twin["total"], twin["pages"]) == ("default", 1, 1)
    assert twin["instances"][0]["instance_id"] == "run-110"
    assert client.get(HUB, headers={"Accept": "application/json"}).json()["total"] == 120


def test_an_instance_has_a_json_twin_with_steps_and_history() -> None:
    twin = asking(FakeHub(finished_run())).get(f"{RUN}.json").json()
    assert twin["output"] == {"total_items": 10, "sum": 385, "average": 38.5}
    assert twin["duration_seconds"] == 2.06
    assert [step["name"] for step in twin["steps"]] == ["process_work_item"] * 10 + [
        "aggregate_results"
    ]
    assert twin["steps"][2]["output"] == {"item": 3, "result": 9}
    assert [event["type"] for event in twin["history"]][-1] == "ExecutionCompleted"


def test_a_json_twin_tells_why_a_step_failed() -> None:
    history = History().scheduled(0, 1).failed(1, 1, "no luck").events
    twin = asking(FakeHub(make_instance(history=history))).get(f"{RUN}.json").json()
    assert twin["steps"][0]["failure"]["message"] == "no luck"


@pytest.mark.parametrize("output", ["NaN", "[1, Infinity]", "plain words", "["])
def test_a_value_that_is_no_json_stands_for_itself_in_the_twin(output: str) -> None:
    twin = asking(FakeHub(make_instance(output=output))).get(f"{RUN}.json").json()
    assert twin["output"] == output


@pytest.mark.parametrize("path", ["/taskhubs/none", f"{HUB}/instances/none", "/nowhere"])
def test_what_is_not_there_has_a_proper_404_page(path: str) -> None:
    answer = asking(FakeHub()).get(path)
    assert answer.status_code == 404
    assert "<h1>Not found</h1>" in answer.text


@pytest.mark.parametrize("path", ["/taskhubs/none.json", f"{HUB}/instances/none.json"])
def test_what_is_not_there_is_an_error_in_json_too(path: str) -> None:
    answer = asking(FakeHub()).get(path)
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("There is no ")


HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>"


def test_everything_shown_is_escaped() -> None:
    history = History().scheduled(0, 1, HOSTILE, HOSTILE).failed(1, 1, HOSTILE)
    hostile = make_instance(
        HOSTILE,
        name=HOSTILE,
        input=HOSTILE,
        output=HOSTILE,
        custom_status=HOSTILE,
        failure=FailureDetails(HOSTILE, HOSTILE, HOSTILE),
        parent_id=HOSTILE,
        history=history.events,
    )
    client = asking(FakeHub(hostile))
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


def test_a_value_of_a_mebibyte_is_cut_until_all_of_it_is_asked_for() -> None:
    client = asking(FakeHub(make_instance(input=f'"{"x" * (1 << 20)}"')))
    cut = client.get(RUN)
    assert len(cut.content) < 20_000
    assert "The first 600 of 1,048,578 characters" in cut.text
    assert 'href="?show=input#input"' in cut.text
    assert len(client.get(f"{RUN}?show=input").content) > 1 << 20


@pytest.fixture(scope="module")
def thousand() -> FakeHub:
    return FakeHub(finished_run(items=1000))


def test_a_thousand_equal_steps_are_one_row_of_the_timeline(thousand: FakeHub) -> None:
    shown = page(thousand, RUN)
    assert '<li id="group-process_work_item">' in shown
    assert shown.count('<li id="bar-') == 1


def test_each_of_a_thousand_steps_can_be_reached(thousand: FakeHub) -> None:
    shown = page(thousand, f"{RUN}?steps=process_work_item&page=20")
    assert shown.count('<li id="bar-') == 50
    assert '<li id="bar-1000">' in shown
    assert '<tr id="step-1000">' in shown


def test_a_long_history_is_paged(thousand: FakeHub) -> None:
    assert page(thousand, RUN).count('<tr id="event-') == 100
    assert '<tr id="event-101">' in page(thousand, f"{RUN}?events=2")


def test_the_page_of_a_thousand_steps_answers_in_300_ms(thousand: FakeHub) -> None:
    client = asking(thousand)
    client.get(RUN)
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        client.get(RUN)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.3


def test_a_running_step_grows_until_now() -> None:
    history = History().scheduled(0, 1).events
    running = make_instance(status="RUNNING", history=history, created_at=at(0))
    assert "so far" in page(FakeHub(running), RUN)


def test_the_state_of_the_workers_is_told_to_who_waits_for_an_instance() -> None:
    hub = FakeHub(make_instance(status="RUNNING"), workers=0, waiting=1)
    assert "No worker is connected" in page(hub, RUN)
