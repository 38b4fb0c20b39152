"""The address of a run's page."""

from __future__ import annotations

import pytest
from scheduler import Scheduler

from hosting.dashboard import page_of

PATH = "/subscriptions/local/schedulers/emulator/taskhubs/default/orchestrations/id"


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("http://localhost:8080", "http://localhost:8082"),
        ("http://127.0.0.1:54321", "http://127.0.0.1:8082"),
        ("http://emulator:80", "http://emulator:8082"),
        ("http://[::1]:8080", "http://[::1]:8082"),
    ],
)
def test_an_emulators_page_is_on_the_dashboards_default_port(endpoint: str, host: str) -> None:
    assert page_of(Scheduler(endpoint), "id") == host + PATH


def test_names_are_quoted() -> None:
    page = page_of(Scheduler(task_hub="a hub"), "a/b?c")
    assert page is not None
    assert page.endswith("/taskhubs/a%20hub/orchestrations/a%2Fb%3Fc")


def test_azure_has_no_page_that_its_endpoint_tells() -> None:
    assert page_of(Scheduler("https://name.region.durabletask.io"), "id") is None
