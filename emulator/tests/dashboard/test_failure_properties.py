"""The properties of an error, which a worker may send with it."""

from __future__ import annotations

from typing import Any

import pytest
from durabletask import task
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

from dts_emulator import Emulator
from dts_emulator.dashboard.hub_adapter import HubAdapter
from tests.dashboard.asking import asking, page, plain
from tests.dashboard.histories import History, failed_with
from tests.dashboard.hubs import ShownHub, make_instance
from tests.programs import end_of, new_client, new_worker

RUN = "/taskhubs/default/instances/run-1"


def failing_with(**properties: Value) -> ShownHub:
    """Make a task hub whose instance has failed, as its only step has, with these properties."""
    failure = failed_with("no luck")
    for name, value in properties.items():
        failure.properties[name].CopyFrom(value)
    history = History().turn(0.1).scheduled(0.2, 1)
    history.add(1, taskFailed=pb.TaskFailedEvent(taskScheduledId=1, failureDetails=failure))
    return ShownHub(make_instance(status="FAILED", failure=failure, history=history))


@pytest.mark.parametrize(
    ("value", "shown", "plain_value"),
    [
        (Value(string_value="E 42"), "E 42", "E 42"),
        (Value(number_value=42), "42", 42),
        (Value(number_value=1.5), "1.5", 1.5),
        (Value(number_value=float("nan")), "nan", "nan"),
        (Value(number_value=float("-inf")), "-inf", "-inf"),
        (Value(bool_value=True), "true", True),
        (Value(null_value=NULL_VALUE), "null", None),
        (Value(), "null", None),
        (Value(list_value=ListValue(values=[Value(number_value=1)])), "[1]", [1]),
        (
            Value(struct_value=Struct(fields={"a<b": Value(string_value="ü")})),
            '{"a<b": "ü"}',
            {"a<b": "ü"},
        ),
    ],
)
def test_a_property_is_shown_beside_the_message_and_given_to_scripts(
    value: Value, shown: str, plain_value: Any
) -> None:
    hub = failing_with(code=value)
    html = page(hub, RUN)
    # Once for the instance, once for its step.
    assert html.count(f"<dt>code</dt> <dd><code>{shown}</code></dd>") == 2
    twin = asking(hub).get(f"{RUN}.json").json()
    assert twin["failure"]["properties"] == {"code": plain_value}
    assert twin["steps"][0]["failure"]["properties"] == {"code": plain_value}


def test_without_properties_there_is_no_list() -> None:
    hub = failing_with()
    assert 'class="fields properties"' not in page(hub, RUN)
    assert asking(hub).get(f"{RUN}.json").json()["failure"]["properties"] == {}


class PaymentError(Exception):
    """An error that knows more than its message."""

    code = 402


class Properties:
    """Says what a worker sends of its errors."""

    def get_exception_properties(self, exception: Exception) -> dict[str, Any] | None:
        return {"code": exception.code} if isinstance(exception, PaymentError) else None


def paying(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.call_activity(pay))


def pay(_: Any, __: Any) -> None:
    raise PaymentError("declined")


def test_a_workers_properties_reach_the_page() -> None:
    with Emulator() as emulator:
        worker = new_worker(emulator, paying, pay, exception_properties_provider=Properties())
        with worker, new_client(emulator) as client:
            worker.start()
            end_of(client, client.schedule_new_orchestration(paying, instance_id="run-1"))
        shown = plain(page(HubAdapter(emulator.hubs["default"]), RUN))
    assert "declined code 402" in shown
