"""The pages as JSON, for scripts."""

from __future__ import annotations

import pytest

from tests.dashboard.asking import asking
from tests.dashboard.histories import History
from tests.dashboard.hubs import ShownHub, finished_run, make_instance, many

HUB = "/taskhubs/default"
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
