"""The quickstart's C# and Java forms give their clients what a .NET or Java worker gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from durabletask import task
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.serialization import JsonDataConverter

from examples.text_lengths import worker as text_lengths
from examples.word_count import worker as word_count
from hosting.scheduler import Scheduler
from tests.processes import PATIENCE_SECONDS
from tests.sample import working

CONTEXT = task.ActivityContext("instance", 1)
TEXT_LENGTHS, WORD_COUNT = "ParallelProcessingOrchestration", "FanOutFanIn_WordCount"

# The exact JSON that a .NET client (System.Text.Json) and a Java client (Jackson) send.
EXCHANGES: dict[str, tuple[str, str, Any]] = {
    "C#: the quickstart's": (
        TEXT_LENGTHS,
        '["Task1","Task2","Task3","LongerTask4","VeryLongTask5"]',
        {"Task1": 5, "Task2": 5, "Task3": 5, "LongerTask4": 11, "VeryLongTask5": 13},
    ),
    "C#: none": (TEXT_LENGTHS, "[]", {}),
    # .NET escapes what is not ASCII, as pairs of UTF-16 units; and ', +, <, > and & too.
    "C#: an emoji": (TEXT_LENGTHS, '["\\uD83D\\uDE00 ok"]', {"\U0001f600 ok": 5}),
    "C#: a no-break space": (TEXT_LENGTHS, '["a\\u00A0b"]', {"a\u00a0b": 3}),
    "C#: an umlaut and signs": (TEXT_LENGTHS, '["\\u00FC\\u0027\\u003C\\u0026"]', {"ü'<&": 4}),
    "C#: duplicates": (TEXT_LENGTHS, '["b","a","b"]', {"b": 1, "a": 1}),
    "C#: an empty text": (TEXT_LENGTHS, '[""]', {"": 0}),
    "Java: two sentences": (WORD_COUNT, '["Hello, world!","The quick brown fox jumps."]', 7),
    "Java: none": (WORD_COUNT, "[]", 0),
    "Java: nothing but separators": (WORD_COUNT, '[""," \\t\\n\\r\\f "]', 0),
    "Java: every separator": (WORD_COUNT, '["a b\\tc\\nd\\re\\ff"]', 6),
    # Jackson leaves what is not ASCII as it is.
    "Java: an emoji": (WORD_COUNT, '["\U0001f600 \U0001f600"]', 2),
    "Java: a no-break space, which separates nothing": (WORD_COUNT, '["a\u00a0b c"]', 2),
    "Java: a vertical tab, which separates nothing": (WORD_COUNT, '["a\\u000Bb"]', 1),
    "Java: duplicates": (WORD_COUNT, '["one two","one two"]', 4),
}


class AsSent(JsonDataConverter):
    """Sends a text that is JSON already, unchanged."""

    def serialize(self, value: Any) -> str | None:
        return None if value is None else str(value)


@pytest.fixture(scope="module")
def client() -> Iterator[TaskHubGrpcClient]:
    """Give a client of an emulator where the workers of both examples run."""
    dts_emulator = pytest.importorskip("dts_emulator", reason="there is no emulator/")
    with dts_emulator.Emulator(check_determinism=True) as emulator:
        connection = Scheduler(emulator.endpoint).connection()
        with (
            working(
                emulator.endpoint,
                text_lengths.ParallelProcessingOrchestration,
                text_lengths.ProcessWorkItemActivity,
                text_lengths.AggregateResultsActivity,
            ),
            working(emulator.endpoint, word_count.FanOutFanIn_WordCount, word_count.CountWords),
            DurableTaskSchedulerClient(**connection, data_converter=AsSent()) as client,
        ):
            yield client


@pytest.mark.parametrize(
    ("orchestration", "sent", "expected"), EXCHANGES.values(), ids=EXCHANGES.keys()
)
def test_a_client_of_another_language_gets_its_answer(
    client: TaskHubGrpcClient, orchestration: str, sent: str, expected: Any
) -> None:
    instance_id = client.schedule_new_orchestration(orchestration, input=sent)
    state = client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE_SECONDS)
    assert state is not None
    assert state.runtime_status is OrchestrationStatus.COMPLETED, state
    assert state.serialized_input == sent
    assert state.serialized_output == json.dumps(expected)  # Objects in the order of the items.


@pytest.mark.parametrize(
    ("item", "length"), [("Task1", 5), ("", 0), ("ü", 1), ("\U0001f600", 2), ("\ud83d", 1)]
)
def test_a_length_counts_utf_16_units(item: str, length: int) -> None:
    assert text_lengths.ProcessWorkItemActivity(CONTEXT, item) == {item: length}


def test_of_equal_items_the_later_result_counts_in_the_order_of_the_items() -> None:
    aggregate = text_lengths.AggregateResultsActivity(CONTEXT, [{"b": 1}, {"a": 2}, {"b": 3}])
    assert json.dumps(aggregate) == '{"b": 3, "a": 2}'
    assert text_lengths.AggregateResultsActivity(CONTEXT, []) == {}


@pytest.mark.parametrize(
    ("sentence", "words"),
    [("", 0), ("  ", 0), ("one", 1), ("one, two", 2), ("a\tb\nc\rd\fe f", 6), ("a\u00a0b", 1)],
)
def test_words_are_separated_as_in_java(sentence: str, words: int) -> None:
    assert word_count.CountWords(CONTEXT, sentence) == words
