"""No value and no request makes a page that fails, or one without bounds."""

from __future__ import annotations

import json

import pytest

from dts_emulator.dashboard.renderer import MAX_FORM_BYTES
from dts_emulator.dashboard.text import pretty
from tests.dashboard.asking import HOST, asking
from tests.dashboard.hubs import ShownHub, make_instance

RUN = "/taskhubs/default/instances/run-1"


def nested(depth: int, inner: str = "1") -> str:
    return "[" * depth + inner + "]" * depth


HOSTILE = {
    "half a character": '"\\ud800"',
    "half a character in a key": '{"\\uDC00": [1]}',
    "half a character in upper case": '["\\uD83D"]',
    "no number": "1e400",
    "no number either": "[-1e999]",
    "NaN": "NaN",
    "987 deep": nested(987),
    "100,000 deep": nested(100_000),
    "too many digits": "9" * 5000,
    "no JSON": "{",
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_value_that_no_page_can_hold_is_shown_as_the_text_it_is(value: str) -> None:
    client = asking(ShownHub(make_instance(input=value, output=value, custom_status=value)))
    page = client.get(RUN, params={"show": "input"})
    assert page.status_code == 200
    twin = client.get(f"{RUN}.json")
    assert twin.status_code == 200
    assert twin.json()["input"] == twin.json()["custom_status"] == value


def test_a_whole_character_written_as_two_halves_is_a_value_like_any_other() -> None:
    client = asking(ShownHub(make_instance(input='"\\ud83d\\ude00"')))
    assert "\N{GRINNING FACE}" in client.get(RUN).text
    assert client.get(f"{RUN}.json").json()["input"] == "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    "value",
    [
        nested(450, ",".join(["1"] * 100_000)),
        nested(30, ",".join([f'"{"x" * 81}"'] * 4_000)),
        "[" + ",".join([nested(30, f'"{"x" * 81}"')] * 1_500) + "]",
    ],
    ids=["deep and long", "indented lines", "deep lines"],
)
def test_a_large_value_shown_whole_stays_about_as_large_as_it_is(value: str) -> None:
    assert len(pretty(value)) <= 4 * len(value)
    page = asking(ShownHub(make_instance(input=value))).get(RUN, params={"show": "input"})
    assert page.status_code == 200
    assert len(page.content) < 10 * len(value)


def test_what_is_not_too_deep_is_laid_out_as_ever() -> None:
    assert json.loads(pretty(nested(30))) == json.loads(nested(30))


@pytest.mark.parametrize("header", ["Origin", "Referer"])
@pytest.mark.parametrize("sender", ["http://[", "http://[::1", "\x7f", "http://localhost:8082]"])
def test_a_sender_that_is_no_address_is_refused(header: str, sender: str) -> None:
    answer = asking(ShownHub(make_instance())).post(RUN, headers={header: sender}, content="")
    assert answer.status_code == 403


def test_a_form_without_end_is_refused_before_it_is_read() -> None:
    client = asking(ShownHub(make_instance(status="RUNNING")))
    answer = client.post(RUN, headers={"Origin": HOST}, content=b"x" * (MAX_FORM_BYTES + 1))
    assert answer.status_code == 413
    assert "more than 4,194,304 bytes" in answer.text


def test_a_form_of_thousands_of_fields_is_refused() -> None:
    client = asking(ShownHub(make_instance(status="RUNNING")))
    answer = client.post(RUN, headers={"Origin": HOST}, content=b"&".join([b"a=1"] * 100_000))
    assert answer.status_code == 400


@pytest.mark.parametrize("data", [nested(100_000), "1" * 5000 + "x", '"'])
def test_data_of_an_event_that_cannot_be_read_is_refused(data: str) -> None:
    client = asking(ShownHub(make_instance(status="RUNNING")))
    form = {"action": "raise_event", "name": "go", "data": data}
    answer = client.post(RUN, headers={"Origin": HOST}, data=form)
    assert answer.status_code == 400
