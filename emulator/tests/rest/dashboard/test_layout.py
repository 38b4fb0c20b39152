"""What a reader sees of long names and values, on a wide screen and on a narrow one."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, ViewportSize

from dts_emulator.engine.model import Entity
from tests.browser import needs_chromium
from tests.dashboard.histories import History, failed_with, fan_out_fan_in, ns
from tests.dashboard.hubs import ShownHub, family, make_instance
from tests.dashboard.schedules import schedule
from tests.rest.dashboard.conftest import Opener

pytestmark = needs_chromium

WIDE = ViewportSize(width=1280, height=900)
NARROW = ViewportSize(width=400, height=800)

HUB = "/taskhubs/default"
LONG = "https://example.com/" + "a/rather/long/address/without/a/place/to/break/" * 3
PAGES = (
    HUB,
    f"{HUB}?all=yes",
    f"{HUB}/instances/failed",
    f"{HUB}/instances/run-1",
    f"{HUB}/instances/{'x' * 100}",
    f"{HUB}/entities",
    f"{HUB}/schedules",
    f"{HUB}/workers",
    f"{HUB}/start?from=failed",
)


@pytest.fixture
def hub() -> ShownHub:
    message = f"item 3 cannot be processed: {LONG}"
    history = History().turn(0.01)
    for part in range(1, 6):
        given = f'{{"first": {part * 10 - 9}, "last": {part * 10}}}'
        history.child(0.02, part, f"failed:{part:04x}", given, name="process_part_of_the_items")
    for part in (1, 2, 4, 5):
        history.child_completed(1 + part / 10, part, "12685")
    cause = failed_with(message, "my_project.errors.ItemCannotBeProcessedError")
    whole = failed_with(
        f"failed:0003: Activity task #3 failed: {message}",
        "durabletask.task.TaskFailedError",
        inner=cause,
    )
    history.child_failed(1.6, 3, whole)
    shown = ShownHub(
        *family(3, failed_item=12),
        make_instance("failed", status="FAILED", history=history, failure=whole, input=f'"{LONG}"'),
        make_instance("c0ffee00112233445566778899aabbcc", history=fan_out_fan_in()),
        make_instance("x" * 100, name="an_orchestrator_with_a_name_" * 3, tags={"k": LONG}),
        make_instance("started-by", parent_id="x" * 100, status="RUNNING"),
    )
    shown.put_entity(Entity(f"@counter@{'k' * 80}", ns(0), state=f'"{LONG}"'))
    shown.put_entity(schedule("nightly-invoices-of-all-customers", "an_orchestrator_of_invoices"))
    return shown


def right_edges(page: Page, outer: str, inner: str) -> tuple[float, float]:
    """Return where an element ends on the right, and where what is in it does."""
    edges = page.evaluate(
        "([outer, inner]) => [outer, inner].map((selector) => Math.max(...[...document"
        ".querySelectorAll(selector)].map((e) => e.getBoundingClientRect().right)))",
        [outer, inner],
    )
    return edges[0], edges[1]


# Opens every disclosure, but of the actions only one at a time, and returns the greatest width.
OPENED = """() => {
  const widths = [];
  for (const one of document.querySelectorAll("details")) {
    one.open = true;
    widths.push(document.documentElement.scrollWidth);
    if (one.matches(".actions > details")) one.open = false;
  }
  return Math.max(document.documentElement.scrollWidth, ...widths);
}"""


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["1280 px", "400 px"])
def test_nothing_scrolls_sideways(open_page: Opener, viewport: ViewportSize) -> None:
    page = open_page(viewport=viewport)
    for path in PAGES:
        page.goto(path)
        assert page.evaluate(OPENED) == viewport["width"], path


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["1280 px", "400 px"])
def test_the_table_of_steps_stays_in_its_card(open_page: Opener, viewport: ViewportSize) -> None:
    page = open_page(f"{HUB}/instances/failed", viewport=viewport)
    card, cells = right_edges(page, "#steps", "#steps td, #steps td p")
    assert cells <= card


def test_an_input_of_two_members_takes_at_most_two_lines(open_page: Opener) -> None:
    page = open_page(f"{HUB}/instances/failed", viewport=WIDE)
    box = page.locator("#step-1 td:nth-child(3) code").bounding_box()
    assert box is not None
    assert box["height"] < 45


# Returns where the values of one row begin, from the left edge of the row.
VALUES = """(row) => [...row.querySelectorAll("td")].map((cell) => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  const lefts = [...range.getClientRects()].filter((box) => box.width).map((box) => box.left);
  return Math.min(...lefts) - row.getBoundingClientRect().left;
})"""


@pytest.mark.parametrize(
    ("path", "table"),
    [
        (HUB, "main > table"),
        (f"{HUB}/instances/failed", "#steps table"),
        (f"{HUB}/schedules", "main > table"),
    ],
)
def test_values_stand_below_one_another_on_a_narrow_screen(
    open_page: Opener, path: str, table: str
) -> None:
    page = open_page(path, viewport=NARROW)
    lefts = page.locator(f"{table} tbody tr").first.evaluate(VALUES)
    assert lefts == pytest.approx([lefts[0]] * len(lefts), abs=1)


def test_names_are_whole_where_there_is_room(open_page: Opener) -> None:
    page = open_page(f"{HUB}/instances/failed", viewport=WIDE)
    is_cut = "(e) => e.scrollWidth > e.clientWidth"
    labels = page.query_selector_all(".label .name, .label small")
    assert len(labels) == 10
    assert not [label.inner_text() for label in labels if label.evaluate(is_cut)]


def test_the_longest_id_is_whole_in_the_path_to_its_page(open_page: Opener) -> None:
    page = open_page(f"{HUB}/instances/{'x' * 100}", viewport=WIDE)
    here = page.locator("header a[aria-current]")
    assert here.inner_text() == "x" * 100
    box = here.bounding_box()
    assert box is not None
    assert box["height"] < 40


def test_a_minted_id_stands_on_one_line_of_the_list(open_page: Opener) -> None:
    page = open_page(HUB, viewport=WIDE)
    box = page.get_by_role("link", name="c0ffee00112233445566778899aabbcc").bounding_box()
    assert box is not None
    assert box["height"] < 30


def test_every_turn_names_all_its_events_on_a_narrow_screen(open_page: Opener) -> None:
    page = open_page(f"{HUB}/instances/failed", viewport=NARROW)
    card, words = right_edges(page, "#history", ".turns summary .sub")
    assert words <= card
