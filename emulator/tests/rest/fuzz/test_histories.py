"""Histories of random events, opened as files."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.json_format import MessageToJson, SerializeToJsonError

from tests.dashboard.histories import History
from tests.dashboard.test_history_files import opened
from tests.rest.fuzz.messages import random_message


def test_a_history_of_random_events_is_shown_or_refused() -> None:
    for seed in range(150):
        random = Random(seed)
        chunk = pb.HistoryChunk(events=History().turn(0).started("run").raw)
        while len(chunk.events) < 20:
            event = random_message(pb.HistoryEvent, random)
            with suppress(SerializeToJsonError):  # Some random times have no JSON form.
                MessageToJson(event)
                chunk.events.append(event)
        assert opened(chunk).status_code in (200, 400), seed
