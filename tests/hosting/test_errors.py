"""Every error of a scheduler says what is wrong and what to do about it."""

from __future__ import annotations

import re

import grpc
import pytest
from azure.core.exceptions import ClientAuthenticationError
from scheduler import Scheduler

from hosting.errors import explain, is_passing, is_refused_input
from tests.processes import PROJECT

AZURE = Scheduler("https://name.region.durabletask.io", "hub", "ManagedIdentity")
EMULATOR = Scheduler()
TLS = "failed to connect to all addresses; last error: UNKNOWN: ipv4:1.2.3.4:443: "


class CallError(grpc.RpcError):
    """An RPC error as gRPC raises it."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"<many\nlines\nwith {details}>")
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


def call_error(code: str, details: str = "Because.") -> CallError:
    return CallError(grpc.StatusCode[code], details)


@pytest.mark.parametrize(
    ("error", "target", "words"),
    [
        (call_error("UNAVAILABLE"), EMULATOR, ["http://localhost:8080", "python -m emulator"]),
        (call_error("UNAVAILABLE"), AZURE, [AZURE.endpoint, "the network"]),
        (call_error("DEADLINE_EXCEEDED"), EMULATOR, [EMULATOR.endpoint, "Check that ENDPOINT"]),
        (call_error("NOT_FOUND"), AZURE, ["task hub 'hub'", "Because. Set TASKHUB."]),
        (
            call_error("UNAUTHENTICATED"),
            AZURE,
            ["Not authenticated", "Authentication=ManagedIdentity", "tenant"],
        ),
        (
            call_error("PERMISSION_DENIED"),
            AZURE,
            ["Not authorised", "'Durable Task Data Contributor'", "task hub 'hub'", "scope"],
        ),
        (
            call_error("UNAVAILABLE", f"{TLS}SSL routines:CERTIFICATE_VERIFY_FAILED: OK"),
            AZURE,
            ["certificate is not trusted"],
        ),
        (
            call_error("UNAVAILABLE", f"{TLS}Hostname Verification Check failed."),
            AZURE,
            ["certificate is for another host"],
        ),
        (
            call_error("UNAVAILABLE", f"{TLS}SSL routines:WRONG_VERSION_NUMBER: "),
            AZURE,
            ["does not speak TLS", "http://"],
        ),
        (call_error("INTERNAL"), AZURE, ["INTERNAL: Because"]),
        (
            ClientAuthenticationError("No identity.\nAttempted:\n\tmany"),
            AZURE,
            ["No token", "No identity.", "Give this machine a managed identity"],
        ),
        (FileNotFoundError(2, "No such file", "token"), AZURE, ["No token", "No such file"]),
        (grpc.RpcError("channel closed"), EMULATOR, ["RpcError: channel closed"]),
    ],
)
def test_an_error_says_on_one_line_what_is_wrong_and_what_to_do(
    error: Exception, target: Scheduler, words: list[str]
) -> None:
    explanation = explain(error, target)
    assert "\n" not in explanation
    assert [word for word in words if word not in explanation] == []


def test_the_documentation_lists_the_lines_as_they_are_said() -> None:
    text = (PROJECT / "docs/azure.md").read_text()
    section = text.partition("## When it does not work")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(?:\.\.\. )?(.+?)(?: \.\.\.)?` \|", section, re.MULTILINE)
    said = [
        explain(error, AZURE)
        for error in (
            call_error("PERMISSION_DENIED"),
            call_error("UNAUTHENTICATED"),
            ClientAuthenticationError("No identity."),
            call_error("UNAVAILABLE", f"{TLS}CERTIFICATE_VERIFY_FAILED"),
            call_error("NOT_FOUND"),
            call_error("UNAVAILABLE"),
        )
    ]
    assert len(listed) == len(said)
    assert [line for line, words in zip(listed, said, strict=True) if line not in words] == []


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (call_error("UNAVAILABLE", "Connection refused"), True),
        (call_error("CANCELLED"), True),
        (call_error("DEADLINE_EXCEEDED"), True),
        (call_error("UNAVAILABLE", f"{TLS}CERTIFICATE_VERIFY_FAILED"), False),
        (call_error("UNAUTHENTICATED"), False),
        (call_error("PERMISSION_DENIED"), False),
        (call_error("NOT_FOUND"), False),
        (ClientAuthenticationError("No identity."), False),
    ],
)
def test_only_a_scheduler_that_may_come_back_is_waited_for(error: Exception, passing: bool) -> None:
    assert is_passing(error) is passing


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (call_error("INVALID_ARGUMENT", "The input has 2 MB."), True),
        (call_error("RESOURCE_EXHAUSTED", "Sent message larger than max (9 vs. 8)"), True),
        (call_error("RESOURCE_EXHAUSTED", "Too many requests"), False),
        (call_error("UNAVAILABLE"), False),
    ],
)
def test_an_input_that_is_refused_is_told_from_a_scheduler_that_is_busy(
    error: Exception, refused: bool
) -> None:
    assert is_refused_input(error) is refused
