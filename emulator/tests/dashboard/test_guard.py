"""Which host names the dashboard answers to, and what its pages may do."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from dts_emulator.dashboard import create_app
from tests.dashboard.asking import asking
from tests.dashboard.hubs import ShownHub, finished_run


def status_for(host: str, *allowed: str) -> int:
    app = create_app({"default": ShownHub()}, ready=lambda: True, allowed_hosts=allowed)
    return TestClient(app).get("/", headers={"Host": host}).status_code


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8082", "LocalHost:1", "127.0.0.1:8082", "[::1]:8082", "[::1]"]
)
def test_it_answers_under_the_names_of_this_machine(host: str) -> None:
    assert status_for(host) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8082", "localhost.evil.example", "127.0.0.1.nip.io", "", "[::"],
)
def test_a_foreign_host_name_is_refused(host: str) -> None:
    assert status_for(host) == 421


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("dts.local", "dts.local:8082"),
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:db8::1]", "[2001:db8::1]:1"),
    ],
)
def test_a_host_name_that_was_allowed_is_answered(allowed: str, host: str) -> None:
    assert status_for(host, allowed) == 200


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_listening_on_every_interface_admits_every_host_name(everywhere: str) -> None:
    assert status_for("build-agent-7:8082", everywhere) == 200


@pytest.mark.parametrize(
    "path", ["/", "/taskhubs/default/instances/run-1", "/nowhere", "/static/refresh.js", "/healthz"]
)
def test_every_answer_forbids_what_no_page_of_ours_does(path: str) -> None:
    headers = asking(ShownHub(finished_run())).get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_no_page_needs_inline_script_or_style() -> None:
    shown = asking(ShownHub(finished_run())).get("/taskhubs/default/instances/run-1").text
    assert "style=" not in shown
    assert "<style" not in shown
    assert shown.count("<script") == shown.count('<script src="/static/') == 1
