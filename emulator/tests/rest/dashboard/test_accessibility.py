"""The dashboard for everyone: dark mode, narrow screens, the keyboard, and what axe-core finds."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from dts_emulator.engine.model import Entity
from dts_emulator.hub.leases import Kind
from tests.browser import needs_chromium
from tests.dashboard.histories import History, fan_out_fan_in
from tests.dashboard.hubs import ShownHub, family, finished_run, make_instance
from tests.dashboard.schedules import schedule
from tests.rest.dashboard.conftest import Opener

pytestmark = needs_chromium


AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
NARROW = ViewportSize(width=400, height=800)

INSTANCES = "/taskhubs/default/instances"
PAGES = {
    "task hubs": "/",
    "instances": "/taskhubs/default",
    "no match": "/taskhubs/default?search=nothing",
    "finished": f"{INSTANCES}/done",
    "grouped": f"{INSTANCES}/large",
    "running": f"{INSTANCES}/live",
    "failed": f"{INSTANCES}/bad?show=input",
    "failed in a part": f"{INSTANCES}/run-1",
    "turns": f"{INSTANCES}/live?turns=open",
    "filtered": "/taskhubs/default?all=yes&tag=a&created=1h",
    "workers": "/taskhubs/default/workers",
    "entities": "/taskhubs/default/entities",
    "entity": f"/taskhubs/default/entities/{quote('@counter@k1')}",
    "schedules": "/taskhubs/default/schedules",
    "start": "/taskhubs/default/start?from=large",
    "choose a file": "/history",
    "not found": f"{INSTANCES}/{quote('no/such')}",
}


def test_the_pages_follow_the_systems_dark_mode(open_page: Opener) -> None:
    brightness = {
        scheme: open_page("/", color_scheme=scheme).evaluate(
            "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g)[0] * 1"
        )
        for scheme in ("light", "dark")
    }
    assert brightness["dark"] < 50 < 200 < brightness["light"]


def test_the_first_tab_stop_skips_to_the_content(open_page: Opener) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def fill(hub: ShownHub) -> None:
    """Fill the hub with something of each kind."""
    retried = History().scheduled(0, 1).failed(1, 1).scheduled(2, 1).failed(3, 1).ended(4)
    hub.real.offer(Kind.ACTIVITY, "process_work_item", "", 1)
    hub.put(finished_run("done"))
    hub.put(finished_run("large", items=60))
    hub.put(make_instance("live", status="RUNNING", history=fan_out_fan_in(4, unfinished=3)))
    hub.put(make_instance("bad", status="FAILED", history=retried, input="x" * 5000))
    for status in ("PENDING", "SUSPENDED", "TERMINATED"):
        hub.put(make_instance(status.lower(), status=status))
    for member in family(parts=3, failed_item=13):
        hub.put(member)
    hub.put_entity(Entity("@counter@k1", 0, state="41", locked_by="live"))
    hub.put_entity(schedule())
    for _ in range(2):
        hub.real.offer(Kind.ACTIVITY, "process_work_item", "", 0)


def test_no_page_is_wider_than_a_narrow_screen(hub: ShownHub, open_page: Opener) -> None:
    fill(hub)
    page = open_page(viewport=NARROW)
    for path in [path for name, path in PAGES.items() if name != "not found"]:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, path


@pytest.mark.skipif(not AXE.exists(), reason="no axe-core here: npm ci --ignore-scripts")
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(
    hub: ShownHub, browser: Browser, address: str, name: str
) -> None:
    fill(hub)
    context = browser.new_context(base_url=address, reduced_motion="reduce")
    page = context.new_page()
    page.goto(PAGES[name])
    if name == "running":
        page.get_by_text("Terminate…").click()
    page.evaluate(AXE.read_text())
    findings = serious_findings(page)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(NARROW)
    findings += serious_findings(page)
    context.close()
    assert findings == []


def serious_findings(page: Page) -> list[object]:
    """Return what axe-core says of a page: rule, element, and what is wrong with it."""
    report = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        (violation["id"], node["target"], node["failureSummary"])
        for violation in report["violations"]
        for node in violation["nodes"]
        if violation["impact"] in ("serious", "critical")
    ]
