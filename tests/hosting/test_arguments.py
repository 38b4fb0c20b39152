"""Types of arguments, beyond what the programs' own tests ask of them."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from hosting.arguments import positive_seconds, whole_number


@pytest.mark.parametrize("text", ["٣", " 3", "1_0", "+3", "3.0", "", "9" * 5000])
def test_a_whole_number_is_written_in_plain_digits(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not a whole number from 1 to 10"):
        whole_number(1, 10)(text)


@pytest.mark.parametrize("text", ["٣", "1e7", "-1", ""])
def test_seconds_are_a_plain_positive_number(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not a number of seconds greater than 0"):
        positive_seconds(text)
