"""What the quickstart's reader does at the end: inspect the run in the dashboard on port 8082."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.processes import PATIENCE_SECONDS, run, running

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")

# The sandbox needs rights that containers lack; the rest keeps the browser off the network.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


@pytest.fixture
def emulator() -> Iterator[Any]:
    dts_emulator = pytest.importorskip("dts_emulator", reason="there is no emulator/")
    with dts_emulator.Emulator(dashboard_port=0) as emulator:
        yield emulator


@pytest.fixture
def page(emulator: Any) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with browser.new_context(base_url=emulator.dashboard_url) as context:
            yield context.new_page()
        browser.close()


def test_the_reader_sees_the_run_as_the_quickstart_promises(page: Page, emulator: Any) -> None:
    with running("worker.py", ENDPOINT=emulator.endpoint):
        client = run("client.py", "10", ENDPOINT=emulator.endpoint)
    assert client.status == 0, client.stderr
    (link,) = re.findall(r"See the run: (\S+)", client.stderr)
    page.goto("/")
    page.get_by_role("link", name="default", exact=True).click()
    page.locator("tbody a").click()
    here = page.locator("h1").inner_text()
    page.goto(link)
    assert page.locator("h1").inner_text() == here

    # The parallel execution of multiple activity tasks, and the fan-in aggregation step.
    bars = page.locator("#timeline li")
    expect(bars).to_have_count(11)
    boxes = [rect.bounding_box() for rect in page.locator("#timeline rect:not(.waiting)").all()]
    *items, aggregation = [(box["x"], box["x"] + box["width"]) for box in boxes if box]
    assert len(items) == 10
    assert max(begin for begin, _ in items) < min(end for _, end in items)
    assert max(end for _, end in items) <= aggregation[0] + 0.1
    expect(bars.last).to_contain_text("aggregate_results")

    # The input and output at each step, and the time taken for each.
    for number in range(1, 11):
        cells = page.locator(f"#step-{number} td")
        expect(cells.nth(1)).to_have_text("process_work_item")
        expect(cells.nth(2)).to_have_text(str(number))
        expect(cells.nth(3)).to_contain_text(str(number * number))
        expect(cells.nth(6)).to_have_text(re.compile(r"^\d+ ms$|^[012]\.\d\d s$"))
    expect(page.get_by_role("region", name="Output")).to_contain_text(client.stdout.strip())
