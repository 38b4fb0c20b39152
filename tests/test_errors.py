"""Every error of a scheduler says what failed, why, and what to do."""

from __future__ import annotations

import re

import grpc
import pytest
from azure.core.exceptions import ClientAuthenticationError

from hosting.errors import explain, is_passing
from hosting.scheduler import Scheduler
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
        (call_error("UNAVAILABLE"), EMULATOR, ["http://localhost:8080", "'dts-emulator'"]),
        (call_error("UNAVAILABLE"), AZURE, [AZURE.endpoint, "the network"]),
        (call_error("DEADLINE_EXCEEDED"), EMULATOR, [EMULATOR.endpoint, "Check ENDPOINT"]),
        (call_error("NOT_FOUND"), AZURE, ["task hub 'hub'", "Because. Check TASKHUB."]),
        (
            call_error("UNAUTHENTICATED", "The token is not valid"),
            AZURE,
            ["Not authenticated", "Authentication=ManagedIdentity", "tenant"],
        ),
        (
            call_error("PERMISSION_DENIED"),
            AZURE,
            ["Not authorised", "'Durable Task Data Contributor'", "task hub 'hub'"],
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
            ["does not use TLS", "http://"],
        ),
        (call_error("INTERNAL"), AZURE, ["INTERNAL: Because"]),
        (
            ClientAuthenticationError("No identity.\nAttempted:\n\tmany"),
            AZURE,
            ["No token", "No identity.", "az login", "managed identity"],
        ),
        (FileNotFoundError(2, "No such file", "token"), AZURE, ["No token", "No such file"]),
        (grpc.RpcError("channel closed"), EMULATOR, ["RpcError: channel closed"]),
    ],
)
def test_an_error_is_explained_on_one_line(
    error: Exception, target: Scheduler, words: list[str]
) -> None:
    explanation = explain(error, target)
    assert "\n" not in explanation
    assert [word for word in words if word not in explanation] == []


def test_the_documentation_quotes_the_lines() -> None:
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
