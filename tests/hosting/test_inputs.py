"""How values are divided into inputs that a scheduler takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from hosting.inputs import MAX_INPUT_BYTES, split


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("values", "most", "sizes"),
    [
        ([], 10, [0]),
        (list(range(10)), 10, [10]),
        (list(range(11)), 10, [10, 1]),
        (list(range(25)), 10, [10, 10, 5]),
        (["x" * (MAX_INPUT_BYTES // 3)] * 4, 10, [2, 2]),
        (["x" * 2 * MAX_INPUT_BYTES, "y"], 10, [1, 1]),
        ([None, Point(1), {"nested": [1]}], 2, [2, 1]),
    ],
    ids=["none", "all", "one more", "parts", "by size", "too large", "any JSON"],
)
def test_values_are_divided_by_number_and_by_size(
    values: list[Any], most: int, sizes: list[int]
) -> None:
    pieces = split(values, most)
    assert [len(piece) for piece in pieces] == sizes
    assert [value for piece in pieces for value in piece] == values


@pytest.mark.parametrize("value", [7, "x", "ü😀", 1.5, ["a", {"b": None}]], ids=str)
def test_no_piece_is_larger_than_an_input(value: Any) -> None:
    pieces = split([value] * 400_000, 10**9)
    assert len(pieces) > 1
    assert max(len(json.dumps(piece)) for piece in pieces) <= MAX_INPUT_BYTES + 2
