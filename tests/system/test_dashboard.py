"""What the quickstart's reader does at the end: inspect the run in the dashboard on port 8082."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import chromium, needs_chromium
from tests.conftest import endpoint_of
from tests.processes import PATIENCE_SECONDS, Program, run, running

pytestmark = needs_chromium

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def emulator_process() -> Iterator[Program]:
    with running("-m", "dts_emulator", "--port", "0", "--dashboard-port", "0") as program:
        program.wait_for_line("Task hubs")
        yield program


@pytest.fixture
def dashboard(emulator_process: Program) -> str:
    """Give the address that the ready banner names."""
    found = re.search(r"Dashboard +(\S+)", emulator_process.stdout)
    assert found
    return found[1]


@pytest.fixture
def endpoint(emulator_process: Program) -> str:
    return endpoint_of(emulator_process)


@pytest.fixture
def page(browser: Browser, dashboard: str) -> Iterator[Page]:
    with browser.new_context(base_url=dashboard) as context:
        yield context.new_page()


def test_the_reader_sees_the_run_as_the_quickstart_promises(page: Page, endpoint: str) -> None:
    with running("worker.py", ENDPOINT=endpoint):
        client = run("client.py", "10", ENDPOINT=endpoint)
    assert client.status == 0, client.stderr
    page.goto("/")
    page.get_by_role("link", name="default", exact=True).click()
    page.locator("tbody a").click()

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
    assert json.loads(client.stdout) == {"total_items": 10, "sum": 385, "average": 38.5}


def test_the_page_follows_a_run_that_waits_for_its_worker(page: Page, endpoint: str) -> None:
    with running("client.py", "3", "--instance-id", "live", ENDPOINT=endpoint) as client:
        client.wait_for_line("Started orchestration")
        page.goto("/taskhubs/default/instances/live")
        expect(page.get_by_role("main")).to_contain_text("No worker is connected")
        with running("worker.py", ENDPOINT=endpoint):
            expect(page.get_by_role("main")).not_to_contain_text("No worker is connected")
            expect(page.locator("#timeline rect.completed")).to_have_count(4)
            expect(page.locator("h1")).to_contain_text("Completed")
            assert client.finish().status == 0


def test_a_run_that_is_terminated_in_the_dashboard_ends_with_the_reason(
    page: Page, endpoint: str
) -> None:
    with (
        running("worker.py", "--concurrency", "1", ENDPOINT=endpoint),
        running("client.py", "100", "--instance-id", "long", ENDPOINT=endpoint) as client,
    ):
        client.wait_for_line("Started orchestration")
        page.goto("/taskhubs/default/instances/long")
        page.get_by_text("Terminate…").click()
        page.get_by_label("Reason (optional)").locator("visible=true").fill("wrong items")
        page.get_by_role("button", name="Terminate this instance").click()
        expect(page.locator("h1")).to_contain_text("Terminated")
        expect(page.get_by_role("region", name="Output")).to_contain_text("wrong items")
        ended = client.finish()
    assert ended.status == 1
    assert "wrong items" in ended.stderr
