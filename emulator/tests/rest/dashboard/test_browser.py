"""The dashboard in a real browser: what a reader does, and what stays when a page refreshes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import needs_chromium
from tests.dashboard.histories import OUTPUT
from tests.dashboard.hubs import ShownHub, finished_run, make_instance, running
from tests.rest.dashboard.conftest import Opener

pytestmark = needs_chromium

RUN = "/taskhubs/default/instances/run-1"


def test_the_reader_gets_from_the_first_page_to_the_run_and_its_result(
    hub: ShownHub, open_page: Opener
) -> None:
    hub.put(finished_run())
    page = open_page()
    page.get_by_role("link", name="default", exact=True).click()
    page.get_by_role("link", name="run-1").click()
    expect(page.get_by_role("region", name="Output")).to_contain_text(OUTPUT)


def test_the_parallel_bars_overlap_and_the_aggregation_comes_after_them(
    hub: ShownHub, open_page: Opener
) -> None:
    hub.put(finished_run())
    page = open_page(RUN)
    boxes = [bar.bounding_box() for bar in page.locator("#timeline rect").all()]
    *items, aggregation = [(b["x"], b["x"] + b["width"]) for b in boxes if b]
    assert len(items) == 10
    assert max(begin for begin, _ in items) < min(end for _, end in items)
    assert max(end for _, end in items) <= aggregation[0]


def test_a_bar_can_be_read_without_being_seen(hub: ShownHub, open_page: Opener) -> None:
    hub.put(finished_run())
    name = "process_work_item 3 completed, starts at 20 ms, runs 520 ms"
    expect(open_page(RUN).get_by_role("link", name=name)).to_be_visible()


@pytest.mark.parametrize("by", ["hover", "focus"])
def test_pointing_at_a_bar_shows_its_input_output_start_and_duration(
    hub: ShownHub, open_page: Opener, by: str
) -> None:
    hub.put(finished_run())
    page = open_page(RUN)
    row = page.locator("#bar-3")
    expect(row.locator(".tip")).to_be_hidden()
    if by == "hover":
        row.locator("a").hover()
    else:
        page.locator("#bar-2 a").focus()
        page.keyboard.press("Tab")
    tip = row.locator(".tip")
    expect(tip).to_be_visible()
    for content in ('{"item": 3, "result": 9}', "2026-11-24T03:00:00.020Z", "520 ms"):
        expect(tip).to_contain_text(content)


def test_a_page_follows_a_run_until_it_has_ended(hub: ShownHub, open_page: Opener) -> None:
    hub.put(running())
    page = open_page(RUN)
    expect(page.get_by_role("status")).to_have_text("Live")
    hub.put(finished_run())
    expect(page.get_by_role("region", name="Output")).to_contain_text(OUTPUT)
    expect(page.locator("#timeline li")).to_have_count(11)
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()


def test_a_refresh_keeps_focus_scroll_disclosures_and_half_written_words(
    hub: ShownHub, open_page: Opener
) -> None:
    hub.put(running())
    page = open_page(RUN)
    page.get_by_text("Terminate…").click()
    reason = page.get_by_label("Reason (optional)").locator("visible=true")
    reason.fill("half a sen")
    page.evaluate("window.scrollTo(0, 300)")
    hub.put(running(unfinished=2))
    expect(page.locator("#timeline rect.completed")).to_have_count(8)
    expect(reason).to_have_value("half a sen")
    expect(reason).to_be_focused()
    assert page.evaluate("window.scrollY") == 300


def test_a_new_instance_appears_on_top_and_leaves_the_focus_where_it_was(
    hub: ShownHub, open_page: Opener
) -> None:
    hub.put(finished_run())
    page = open_page("/taskhubs/default")
    page.get_by_role("link", name="run-1").focus()
    hub.put(make_instance("run-2", created=9))
    expect(page.locator("tbody tr").first).to_contain_text("run-2")
    expect(page.get_by_role("link", name="run-1")).to_be_focused()


def test_a_paused_page_stays_as_it_is_and_goes_on_when_it_is_resumed(
    hub: ShownHub, open_page: Opener
) -> None:
    page = open_page("/taskhubs/default")
    pause = page.get_by_role("button", name="Pause")
    pause.click()
    expect(pause).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.get_by_role("status")).to_have_text("Paused")
    hub.put(finished_run())
    pause.click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_page_that_cannot_refresh_says_so(
    hub: ShownHub, open_page: Opener, browser: Browser, address: str
) -> None:
    page = browser.new_page()
    page.goto(f"{address}/taskhubs/default")
    page.route("**/taskhubs/default", lambda route: route.fulfill(status=503))
    expect(page.get_by_role("status")).to_have_text(
        "Not refreshed: the dashboard answered 503. Trying again."
    )
    page.unroute_all()
    expect(page.get_by_role("status")).to_have_text("Live")
    page.close()


def test_an_instance_is_terminated_with_a_reason(hub: ShownHub, open_page: Opener) -> None:
    hub.put(running())
    page = open_page(RUN)
    page.get_by_text("Terminate…").click()
    page.get_by_label("Reason (optional)").locator("visible=true").fill("wrong input")
    page.get_by_role("button", name="Terminate this instance").click()
    expect(page.locator(".notice")).to_have_text("Terminate requested.")
    [news] = hub.news()
    assert news.executionTerminated.input.value == '"wrong input"'
    expect(page).to_have_url(re.compile(f"{RUN}$"))


def test_actions_work_without_javascript(hub: ShownHub, open_page: Opener) -> None:
    hub.put(finished_run())
    page = open_page(RUN, java_script_enabled=False)
    page.get_by_text("Purge…").click()
    page.get_by_role("button", name="Purge this instance").click()
    expect(page.get_by_role("heading", name="Nothing has run here yet")).to_be_visible()
    assert not hub.has("run-1")


@pytest.mark.parametrize("instance_id", ["a/b", "a%2Fb", "?#& \"'", "<i>ü</i>", "x.json"])
def test_a_link_to_any_instance_id_works(
    hub: ShownHub, open_page: Opener, instance_id: str
) -> None:
    hub.put(make_instance(instance_id))
    page = open_page("/taskhubs/default")
    page.locator("tbody a").click()
    expect(page.locator("dd.id")).to_have_text(instance_id)
