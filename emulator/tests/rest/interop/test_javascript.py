"""What a worker and a client in JavaScript see of the scheduler is what the service shows them."""

from __future__ import annotations

import re

import pytest

from tests.rest.interop.javascript import answer, needs_javascript

pytestmark = [pytest.mark.system, needs_javascript]

Scheduler = dict[str, str]


def completed(output: object) -> dict[str, object]:
    return {"status": "COMPLETED", "output": output}


def test_events_arrive_in_order_also_before_the_worker_and_from_orchestrations(
    scheduler: Scheduler,
) -> None:
    assert answer("events.mjs", **scheduler) == {
        "sender": completed("sent"),
        "receiver": completed([[1, 2], "early", {"from": "orchestration"}]),
    }


def test_timers_never_fire_early_and_an_event_can_overtake_one(scheduler: Scheduler) -> None:
    assert answer("timers.mjs", **scheduler) == {
        "sleeper": completed({"times": 20, "early": 0}),
        "approval": completed("approved"),
    }


def test_children_of_every_execution_have_ids_of_their_own(scheduler: Scheduler) -> None:
    result = answer("children.mjs", **scheduler)
    assert result["status"] == "COMPLETED"
    children = result["output"]["children"]
    assert [child["number"] for child in children] == [0, 1, 2]
    assert {child["parent"] for child in children} == {result["output"]["id"]}
    assert [child["task"] for child in children] == [1, 1, 1]
    ids = [child["id"] for child in children]
    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{32}:0001", child_id) for child_id in ids), ids


def test_continue_as_new_carries_events_over_and_begins_a_new_history(scheduler: Scheduler) -> None:
    result = answer("again.mjs", **scheduler)
    assert (result["status"], result["output"], result["input"]) == ("COMPLETED", 15, 10)
    assert result["events"].count("ExecutionStarted") == 1
    assert result["events"].count("EventRaised") == 1


def test_suspended_orchestrations_hold_events_back_and_families_end_together(
    scheduler: Scheduler,
) -> None:
    assert answer("control.mjs", **scheduler) == {
        "aRunLater": "SUSPENDED",
        "resumed": completed("held back"),
        "parent": {"status": "TERMINATED", "output": {"why": "enough"}},
        "child": "TERMINATED",
    }


def test_the_state_is_whole_in_whatever_way_it_is_asked_for(scheduler: Scheduler) -> None:
    state = {
        "name": "worked",
        "tags": {"team": "one", "cost center": "7"},
        "customStatus": {"percent": 100},
        "input": "in",
        "output": {"version": "1.2.0", "input": "in"},
    }
    assert answer("state.mjs", **scheduler) == {"waited": state, "got": state, "queried": [state]}


def test_a_history_is_told_turn_by_turn(scheduler: Scheduler) -> None:
    assert answer("history.mjs", **scheduler) == [
        "OrchestratorStarted",
        "ExecutionStarted",
        "TaskScheduled",
        "OrchestratorStarted",
        "TaskCompleted",
        "TimerCreated",
        "OrchestratorStarted",
        "TimerFired",
        "SubOrchestrationInstanceCreated",
        "OrchestratorStarted",
        "SubOrchestrationInstanceCompleted",
        "ExecutionCompleted",
    ]


def test_for_filters_an_activity_has_the_version_of_its_orchestration(scheduler: Scheduler) -> None:
    assert answer("versions.mjs", **scheduler) == {
        "current": completed("Hello, current!"),
        "old": "PENDING",
    }


def test_entities_exist_while_they_have_a_state(scheduler: Scheduler) -> None:
    result = answer("entities.mjs", **scheduler)
    refusal = result["output"].pop("refusal")
    assert "only 30 left" in refusal
    assert result == {
        "before": None,
        "signalled": None,
        "output": {"afterFirst": 30},
        "queried": [30],
        "cleaned": 0,
    }


def test_a_lock_keeps_other_orchestrations_out_and_names_its_holder(scheduler: Scheduler) -> None:
    assert answer("locks.mjs", **scheduler) == {
        "heldByFirst": True,
        "statuses": ["COMPLETED", "COMPLETED"],
        "state": 2,
    }


def test_a_purge_takes_the_children_along_when_asked_to(scheduler: Scheduler) -> None:
    assert answer("purge.mjs", **scheduler) == {
        "alone": [1, None, "COMPLETED"],
        "together": [2, None, None],
        "filtered": [2, None, None],
    }


def test_queries_and_lists_of_ids_come_in_pages(scheduler: Scheduler) -> None:
    ended = ["1", "2", "3", "4", "5"]
    assert answer("queries.mjs", **scheduler) == {
        "running": ["slow"],
        "completed": ended,
        "later": [],
        "pages": [4, 2],
        "listed": ended,
        "longestList": 2,
    }


def test_failures_are_retried_rewound_and_restarted(scheduler: Scheduler) -> None:
    assert answer("retry.mjs", **scheduler) == {
        "retried": "COMPLETED",
        "endings": ["FAILED", "FAILED", "COMPLETED"],
        "rewound": [2, "at last"],
        "calls": {"fine": 2, "flaky": 5},
        "refused": "refused",
        "restarted": [["input", False], ["input", True]],
    }
