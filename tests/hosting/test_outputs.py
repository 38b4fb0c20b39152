"""What a client makes of an output, whoever has written it."""

from __future__ import annotations

from typing import Any

import pytest

from hosting.outputs import parsed


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ('{"sum": 385}', {"sum": 385}),
        ("385", 385),
        ("null", None),
        (None, None),
        ("", None),
        ("plain words", "plain words"),
        ("{'not': 'json'}", "{'not': 'json'}"),
        ("NaN", "NaN"),
        ("9" * 5000, "9" * 5000),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_an_output_is_its_value_or_itself_where_it_is_no_json(
    output: str | None, value: Any
) -> None:
    assert parsed(output) == value
