"""Steps are compared by their values, and the first difference is shown where it lies."""

from __future__ import annotations

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import StringValue

from dts_emulator.engine.comparison import first_mismatch, same_json
from dts_emulator.engine.steps import Step, recorded_steps, requested_steps

EQUAL = [
    ('{"a": 1, "b": [true, null]}', '{"b":[true,null],"a":1}'),
    ("1", "1.0"),
    (None, "null"),
    ("", "null"),
    ("NaN", " NaN"),
    ('"\\u00e9"', '"é"'),
    ("not JSON", "not JSON"),
]
UNEQUAL = [
    ("1", "true"),
    ("0", "false"),
    ("[1, 2]", "[2, 1]"),
    ("[1]", "[1, 1]"),
    ('{"a": 1}', '{"a": 1, "b": null}'),
    ('"1"', "1"),
    ("not JSON", "not  JSON"),
    ("[" * 100_000, "[" * 100_001),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_texts_of_equal_values_are_the_same(one: str | None, other: str | None) -> None:
    assert same_json(one, other)
    assert same_json(other, one)


@pytest.mark.parametrize(("one", "other"), UNEQUAL)
def test_texts_of_other_values_are_not(one: str, other: str) -> None:
    assert not same_json(one, other)
    assert not same_json(other, one)


def answer(*actions: pb.OrchestratorAction) -> list[Step]:
    return requested_steps(pb.OrchestratorResponse(actions=actions))


def activity(number: int, name: str, payload: str = "1") -> pb.OrchestratorAction:
    task = pb.ScheduleTaskAction(name=name, input=StringValue(value=payload))
    return pb.OrchestratorAction(id=number, scheduleTask=task)


def test_the_order_of_an_answers_messages_does_not_count_but_that_of_its_numbers_does() -> None:
    one, two = activity(1, "a"), activity(2, "b")
    assert first_mismatch(answer(one, two), answer(two, one)) is None
    assert first_mismatch(answer(one, two), answer(activity(2, "a"), activity(1, "b"))) is not None


def test_a_number_alone_makes_a_difference() -> None:
    mismatch = first_mismatch(answer(activity(1, "a")), answer(activity(2, "a")))
    assert mismatch is not None
    assert mismatch.texts() == ("activity a(1) as task 1", "activity a(1) as task 2")


def test_the_first_missing_step_is_named() -> None:
    mismatch = first_mismatch(answer(activity(1, "a"), activity(2, "b")), answer(activity(1, "a")))
    assert mismatch is not None
    assert mismatch.index == 1
    assert mismatch.texts() == ("activity b(1)", "nothing")


def test_times_are_compared_to_the_microsecond() -> None:
    def at(nanos: int) -> pb.HistoryEvent:
        created = pb.TimerCreatedEvent(fireAt=Timestamp(seconds=1, nanos=nanos))
        return pb.HistoryEvent(eventId=1, timerCreated=created)

    assert first_mismatch(recorded_steps([at(1_999)]), recorded_steps([at(1_000)])) is None
    assert first_mismatch(recorded_steps([at(2_000)]), recorded_steps([at(1_000)])) is not None


def test_a_failure_is_compared_without_module_and_addresses() -> None:
    def end(kind: str, message: str) -> list[Step]:
        details = pb.TaskFailureDetails(errorType=kind, errorMessage=message)
        completed = pb.CompleteOrchestrationAction(
            orchestrationStatus=pb.ORCHESTRATION_STATUS_FAILED, failureDetails=details
        )
        return answer(pb.OrchestratorAction(completeOrchestration=completed))

    recorded = end("__main__.Rejected", "<Item object at 0x7f42bca4a480> is wrong")
    now = end("shop.worker.Rejected", "<Item object at 0x7f42bca1a750> is wrong")
    assert first_mismatch(recorded, now) is None
    assert first_mismatch(recorded, end("Rejected", "all is wrong")) is not None
    assert first_mismatch(recorded, end("Refused", "<Item object at 0x7f42bca1a750> is wrong"))


def test_a_long_value_is_cut_to_where_it_differs() -> None:
    before, after = ("[" + ", ".join(["0"] * 500 + [last]) + "]" for last in ("17", "18"))
    mismatch = first_mismatch(answer(activity(1, "a", before)), answer(activity(1, "a", after)))
    assert mismatch is not None
    texts = mismatch.texts()
    assert all(len(text) < 120 for text in texts), texts
    assert texts[0].startswith("activity a([0, 0, ")
    assert texts[0].endswith("0, 17])")
    assert texts[1].endswith("0, 18])")
    assert mismatch.summary().startswith("input of a: [0, 0, ")


def test_a_text_with_line_breaks_stays_one_line() -> None:
    mismatch = first_mismatch(answer(activity(1, "a", '"x\ny"')), [])
    assert mismatch is not None
    assert mismatch.texts() == ('activity a("x y")', "nothing")
