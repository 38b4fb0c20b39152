"""Command lines, read in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import client
from hosting.workers import start_program


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
def test_the_clients_arguments_are_read(arguments: list[str], expected: dict[str, object]) -> None:
    args = vars(client.parse_arguments(arguments))
    assert {key: args[key] for key in expected} == expected


def refusal(
    parse: Callable[[list[str]], Any], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> str:
    """Return the last line about arguments that end the program with status 2."""
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["abc"], "invalid int value: 'abc'"),
        (["1.5"], "invalid int value: '1.5'"),
        (["-1"], "number_of_items must be from 1 to 100000"),
        (["0"], "number_of_items must be from 1 to 100000"),
        (["100001"], "number_of_items must be from 1 to 100000"),
        (["--timeout", "0"], "--timeout must be more than 0 seconds"),
        (["--timeout", "-3"], "--timeout must be more than 0 seconds"),
        (["--timeout", "soon"], "invalid float value: 'soon'"),
        (["--timeout", "nan"], "--timeout must be more than 0 seconds"),
        (["--timeout", "inf"], "--timeout must be more than 0 seconds"),
        (["--attach", "a", "--instance-id", "b"], "not allowed with argument --attach"),
        (["--attach", "a", "5"], "a number of items does not go with --attach"),
        (["--attach", ""], "use 1 to 100 printable ASCII characters"),
        (["--instance-id", ""], "use 1 to 100 printable ASCII characters"),
        (["--instance-id", "x" * 101], "use 1 to 100 printable ASCII characters"),
        (["--instance-id", "@x"], "not '@' first"),
        (["--instance-id", "a\nb"], "use 1 to 100 printable ASCII characters"),
        (["1", "2"], "unrecognized arguments: 2"),
    ],
)
def test_an_invalid_argument_of_the_client_is_a_usage_error(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refusal(client.parse_arguments, arguments, capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--concurrency", "0"], "--concurrency must be from 1 to 10000"),
        (["--concurrency", "-1"], "--concurrency must be from 1 to 10000"),
        (["--concurrency", "10001"], "--concurrency must be from 1 to 10000"),
        (["--concurrency", "many"], "invalid int value: 'many'"),
        (["--log-level", "loud"], "invalid choice: 'loud'"),
    ],
)
def test_an_invalid_argument_of_the_worker_is_a_usage_error(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refusal(start_program, arguments, capsys)
