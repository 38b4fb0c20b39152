"""A client in JavaScript gets from the examples what workers in C# and Java would give it."""

from __future__ import annotations

import json

import pytest

from tests.interop.javascript import answer, needs_javascript
from tests.processes import running

pytestmark = [pytest.mark.system, needs_javascript]

Scheduler = dict[str, str]


def output_of(example: str, orchestration: str, items: list[str], scheduler: Scheduler) -> object:
    """Run the example's worker, and its orchestration from a client in JavaScript."""
    with running("-m", f"examples.{example}.worker", **scheduler):
        result = answer("schedule.mjs", orchestration, json.dumps(items), **scheduler)
    assert result["status"] == "COMPLETED"
    return result["output"]


def test_lengths_are_counted_as_csharp_counts_them_in_the_order_of_the_items(
    scheduler: Scheduler,
) -> None:
    items = ["Task1", "VeryLongTask5", "\N{GRINNING FACE}", "a\N{NO-BREAK SPACE}b", "", "Task1"]
    lengths = output_of("text_lengths", "ParallelProcessingOrchestration", items, scheduler)
    assert isinstance(lengths, dict)
    assert list(lengths.items()) == [
        ("Task1", 5),
        ("VeryLongTask5", 13),
        ("\N{GRINNING FACE}", 2),
        ("a\N{NO-BREAK SPACE}b", 3),
        ("", 0),
    ]


@pytest.mark.parametrize(
    ("sentences", "words"),
    [
        (["Hello, world!", "The quick brown fox jumps over the lazy dog."], 11),
        (["tab\tline\nreturn\rform\ffeed", "no-break\N{NO-BREAK SPACE}space", " ", ""], 6),
        ([], 0),
    ],
)
def test_words_are_counted_as_java_counts_them(
    scheduler: Scheduler, sentences: list[str], words: int
) -> None:
    assert output_of("word_count", "FanOutFanIn_WordCount", sentences, scheduler) == words
