"""How durations, times and values read."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dts_emulator.dashboard import text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.000_4, "0.4 ms"),
        (0.184, "184 ms"),
        (0.999_7, "1.00 s"),
        (1.84, "1.84 s"),
        (12.34, "12.3 s"),
        (59.97, "1 min"),
        (123, "2 min 3 s"),
        (3599.7, "1 h"),
        (11_100, "3 h 5 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    assert text.duration(timedelta(seconds=seconds)) == words


def test_an_unknown_duration_is_a_dash() -> None:
    assert text.duration(None) == "\N{EN DASH}"


@pytest.mark.parametrize(("seconds", "words"), [(1.5, "1.5 s"), (2, "2 s"), (0.5, "500 ms")])
def test_ticks_have_no_idle_zeros(seconds: float, words: str) -> None:
    assert text.axis_label(timedelta(seconds=seconds)) == words


def test_times_are_in_utc_whatever_zone_they_come_in() -> None:
    moment = datetime(2026, 11, 24, 5, 2, 11, 250_000, tzinfo=timezone(timedelta(hours=2)))
    assert text.iso(moment) == "2026-11-24T03:02:11.250Z"
    assert text.date_time(moment) == "2026-11-24 03:02:11"
    assert text.time_of_day(moment) == "03:02:11.250"


@pytest.mark.parametrize(
    ("value", "laid_out"),
    [
        ('{"a":1,"b":[true,null]}', '{"a": 1, "b": [true, null]}'),
        ("1.50", "1.50"),
        ("[1.50,1e400]", "[1.50,1e400]"),
        ("9" * 5000, "9" * 5000),
        ('"\\u00fc"', '"ü"'),
        ("not json", "not json"),
        ("[" * 100_000, "[" * 100_000),
        ("[]", "[]"),
    ],
)
def test_json_is_laid_out_and_everything_else_left_alone(value: str, laid_out: str) -> None:
    assert text.pretty(value) == laid_out


@given(JSON)
@settings(deadline=None)
def test_laying_out_never_changes_a_value(value: object) -> None:
    assert json.loads(text.pretty(json.dumps(value))) == value


def test_json_that_does_not_fit_on_a_line_is_indented() -> None:
    value = {"numbers": list(range(30)), "ratio": 0.5}
    assert text.pretty(json.dumps(value)) == json.dumps(value, indent=2)


def test_a_long_value_is_cut_and_says_how_long_it_was() -> None:
    cut = text.excerpt("x" * 5000, whole=False)
    assert (len(cut.text), cut.cut_from) == (text.EXCERPT, 5000)


def test_a_long_value_is_whole_on_request() -> None:
    whole = text.excerpt("x" * 5000, whole=True)
    assert (len(whole.text), whole.cut_from) == (5000, None)


@pytest.mark.parametrize(
    ("value", "line"),
    [(None, ""), ("a\n b", "a b"), ("x" * 9, "x" * 9), ("x" * 11, "x" * 9 + "…")],
)
def test_one_line_is_short_and_has_no_breaks(value: str | None, line: str) -> None:
    assert text.one_line(value, 10) == line


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [(1, "step", "1 step"), (1000, "step", "1,000 steps"), (3, "", "3")],
)
def test_counts_agree_with_their_nouns(number: int, noun: str, words: str) -> None:
    assert text.count(number, noun) == words
