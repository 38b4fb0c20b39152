"""Asks the dashboard's pages as a browser on this machine would, without one."""

from __future__ import annotations

import re
from html import unescape

from httpx2 import Response
from starlette.testclient import TestClient

from dts_emulator.dashboard import create_app
from dts_emulator.dashboard.hub_adapter import HubAdapter

HOST = "http://localhost:8082"


def asking(*hubs: HubAdapter, read_only: bool = False, ready: bool = True) -> TestClient:
    """Make a client of a dashboard that shows these task hubs."""
    app = create_app({hub.name: hub for hub in hubs}, ready=lambda: ready, read_only=read_only)
    return TestClient(app, base_url=HOST)


def page(hub: HubAdapter, path: str) -> str:
    """Return a page's HTML with its entities resolved."""
    answer = asking(hub).get(path)
    assert answer.status_code == 200
    return unescape(answer.text)


def post(hub: HubAdapter, path: str, **form: str) -> Response:
    """Send a form as one of the dashboard's own pages does."""
    headers = {"Origin": HOST}
    return asking(hub).post(path, data=form, headers=headers, follow_redirects=False)


def plain(html: str) -> str:
    """Return a page's words without its tags."""
    return " ".join(re.sub("<[^>]+>", " ", unescape(html)).split())
