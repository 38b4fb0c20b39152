"""The exact JSON that a .NET and a Java client send, and what they expect back.

.NET's System.Text.Json and Java's Jackson write what they send in these forms; a worker reads the
value behind it, and a client the value behind the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exchange:
    """What a client sends, and the value of what it gets."""

    name: str
    sent: str
    expected: Any


TEXT_LENGTHS = (
    Exchange(
        "the quickstart's",
        '["Task1","Task2","Task3","LongerTask4","VeryLongTask5"]',
        {"Task1": 5, "Task2": 5, "Task3": 5, "LongerTask4": 11, "VeryLongTask5": 13},
    ),
    Exchange("none", "[]", {}),
    # .NET escapes what is not ASCII, as pairs of UTF-16 units; and ', +, <, > and & too.
    Exchange("an emoji", '["\\uD83D\\uDE00 ok"]', {"\U0001f600 ok": 5}),
    Exchange("a no-break space", '["a\\u00A0b"]', {"a\u00a0b": 3}),
    Exchange("an umlaut and signs", '["\\u00FC\\u0027\\u003C\\u0026"]', {"ü'<&": 4}),
    Exchange("duplicates", '["b","a","b"]', {"b": 1, "a": 1}),
    Exchange("an empty text", '[""]', {"": 0}),
)

WORD_COUNT = (
    Exchange("two sentences", '["Hello, world!","The quick brown fox jumps."]', 7),
    Exchange("none", "[]", 0),
    Exchange("nothing but separators", '[""," \\t\\n\\r\\f "]', 0),
    Exchange("every separator", '["a b\\tc\\nd\\re\\ff"]', 6),
    # Jackson leaves what is not ASCII as it is.
    Exchange("an emoji", '["\U0001f600 \U0001f600"]', 2),
    Exchange("a no-break space, which separates nothing", '["a\u00a0b c"]', 2),
    Exchange("a vertical tab, which separates nothing", '["a\\u000Bb"]', 1),
    Exchange("duplicates", '["one two","one two"]', 4),
)
