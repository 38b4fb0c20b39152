"""The client's command line and the words it finds for what has happened."""

from __future__ import annotations

import pytest

import client


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"number_of_items": 10, "timeout": 60.0, "instance_id": None, "attach": None}),
        (["1"], {"number_of_items": 1}),
        (["100000"], {"number_of_items": 100_000}),
        (["--timeout", "0.5"], {"timeout": 0.5}),
        (["3", "--instance-id", "mine"], {"number_of_items": 3, "instance_id": "mine"}),
        (["--attach", "yours"], {"attach": "yours"}),
    ],
)
def test_arguments_are_read(arguments: list[str], expected: dict[str, object]) -> None:
    args = vars(client.parse_arguments(arguments))
    assert {key: args[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["abc"], "'abc' is not a whole number from 1 to 100000"),
        (["-1"], "'-1' is not a whole number from 1 to 100000"),
        (["0"], "'0' is not a whole number from 1 to 100000"),
        (["1.5"], "'1.5' is not a whole number from 1 to 100000"),
        (["100001"], "'100001' is not a whole number from 1 to 100000"),
        (["٣"], "'٣' is not a whole number from 1 to 100000"),
        (["--timeout", "0"], "'0' is not a number of seconds greater than 0"),
        (["--timeout", "-3"], "'-3' is not a number of seconds greater than 0"),
        (["--timeout", "soon"], "'soon' is not a number of seconds greater than 0"),
        (["--timeout", "nan"], "'nan' is not a number of seconds greater than 0"),
        (["--timeout", "inf"], "'inf' is not a number of seconds greater than 0"),
        (["--attach", "a", "--instance-id", "b"], "not allowed with argument --attach"),
        (["--attach", "a", "5"], "a number of items does not go with --attach"),
        (["--attach", ""], "an instance ID has 1 to 100 printable ASCII characters"),
        (["--instance-id", ""], "an instance ID has 1 to 100 printable ASCII characters"),
        (["--instance-id", "x" * 101], "an instance ID has 1 to 100 printable ASCII characters"),
        (["--instance-id", "@x"], "the first of them not '@'"),
        (["--instance-id", "a\nb"], "an instance ID has 1 to 100 printable ASCII characters"),
        (["1", "2"], "unrecognized arguments: 2"),
    ],
)
def test_a_wrong_argument_is_two_lines_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        client.parse_arguments(arguments)
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert message in lines[1]
