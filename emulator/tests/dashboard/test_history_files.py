"""Histories as files, and the addresses of the Docker emulator's dashboard."""

from __future__ import annotations

import pytest
from durabletask.extensions.history_export.models import ExportFormat, ExportFormatKind
from durabletask.extensions.history_export.serialization import serialize_history
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.json_format import MessageToJson, Parse
from httpx2 import Response

from dts_emulator.dashboard.sdk_history import public_event
from tests.dashboard.asking import HOST, asking
from tests.dashboard.histories import History, fan_out_fan_in
from tests.dashboard.hubs import ShownHub, finished_run

HUB = "/taskhubs/default"
OURS = {"Origin": HOST}


def test_a_downloaded_history_is_the_protocols_and_loads_again() -> None:
    answer = asking(ShownHub(finished_run())).get(f"{HUB}/histories/run-1")
    assert answer.headers["content-disposition"] == 'attachment; filename="history-run-1.json"'
    assert list(Parse(answer.text, pb.HistoryChunk()).events) == fan_out_fan_in().raw


def test_an_opened_history_is_shown_read_only_with_pages_and_filters() -> None:
    client = asking(ShownHub(finished_run(items=60)))
    content = client.get(f"{HUB}/histories/run-1").content
    answer = client.post("/history", files={"file": ("h.json", content)}, headers=OURS)
    assert "This history comes from a file" in answer.text
    assert '<li id="group-process_work_item">' in answer.text
    assert "Completed" in answer.text
    assert 'method="post"' not in answer.text
    assert 'data-live="no"' in answer.text
    second = client.get(f"{answer.url.path}?steps=process_work_item&page=2")
    assert '<tr id="step-60">' in second.text


def test_an_export_of_the_sdk_can_be_opened_too() -> None:
    events = [public_event(event) for event in fan_out_fan_in(60).raw]
    form = ExportFormat(ExportFormatKind.JSONL_GZIP, "1.0")
    content = serialize_history(events, instance_id="run-1", fmt=form)
    files = {"file": ("run-1.jsonl.gz", content)}
    answer = asking(ShownHub()).post("/history", files=files, headers=OURS)
    assert answer.status_code == 200
    assert "This history comes from a file" in answer.text
    assert '<li id="group-process_work_item">' in answer.text


def test_a_history_can_be_opened_where_nothing_may_be_changed() -> None:
    hub = ShownHub(finished_run())
    content = asking(hub).get(f"{HUB}/histories/run-1").content
    client = asking(hub, read_only=True)
    answer = client.post("/history", files={"file": ("h.json", content)}, headers=OURS)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[1]", b"\xff\xfe", b'{"events": [{}]}', b'{"events": 3}', b"[" * 10_000],
    ids=["nothing", "empty", "a list", "no text", "no kind", "no events", "deep"],
)
def test_a_file_that_is_no_history_is_refused_in_words(content: bytes) -> None:
    answer = asking(ShownHub()).post("/history", files={"file": ("h", content)}, headers=OURS)
    assert answer.status_code == 400
    assert 'href="/history"' in answer.text


def test_a_timer_without_its_time_is_shown_without_it() -> None:
    history = History().turn(0).started("run").add(0.1, 1, timerCreated=pb.TimerCreatedEvent())
    answer = opened(pb.HistoryChunk(events=history.raw))
    assert answer.status_code == 200
    assert "timer" in answer.text


def test_a_timer_with_the_number_of_an_unknown_step_is_shown() -> None:
    history = History().turn(0).started("run").failed(0.1, 7).fired(0.2, 7)
    assert opened(pb.HistoryChunk(events=history.raw)).status_code == 200


def opened(chunk: pb.HistoryChunk) -> Response:
    """Open a history as a file; return the page that shows it."""
    content = MessageToJson(chunk).encode()
    return asking(ShownHub()).post("/history", files={"file": ("h", content)}, headers=OURS)


def test_a_history_that_is_not_open_any_more_says_so() -> None:
    answer = asking(ShownHub()).get("/history/0123")
    assert answer.status_code == 404
    assert "Open its file again" in answer.text


def test_a_history_of_an_unknown_instance_is_not_found() -> None:
    assert asking(ShownHub()).get(f"{HUB}/histories/none").status_code == 404


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("", HUB),
        ("/orchestrations", HUB),
        ("/orchestrations/run-1", f"{HUB}/instances/run-1"),
        ("/orchestrations/a%2Fb", f"{HUB}/instances/a%2Fb"),
        ("?endpoint=http%3A%2F%2Flocalhost%3A8080", HUB),
    ],
)
@pytest.mark.parametrize("scheduler", ["local/schedulers/emulator", "default/schedulers/default"])
def test_an_address_of_the_docker_emulators_dashboard_leads_here(
    scheduler: str, path: str, leads_to: str
) -> None:
    docker = f"/subscriptions/{scheduler}/taskhubs/default"
    answer = asking(ShownHub()).get(docker + path, follow_redirects=False)
    assert answer.status_code == 307
    assert answer.headers["location"] == leads_to
