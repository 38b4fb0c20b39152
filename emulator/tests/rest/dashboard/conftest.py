"""The browser, and a dashboard for it to open."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from dts_emulator.dashboard import create_app
from tests.browser import chromium, serving
from tests.dashboard.hubs import ShownHub

Opener = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def hub() -> ShownHub:
    return ShownHub()


@pytest.fixture
def address(hub: ShownHub) -> Iterator[str]:
    with serving(create_app({"default": hub}, ready=lambda: True)) as url:
        yield url


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Opener]:
    """Open pages of the dashboard; whatever a page complains about fails the test."""
    complaints: list[str] = []
    contexts = []

    def opener(path: str = "/", **settings: object) -> Page:
        context = browser.new_context(base_url=address, **settings)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(path)
        return page

    yield opener
    for context in contexts:
        context.close()
    assert complaints == []
