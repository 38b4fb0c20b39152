"""What a reader does with large and failed runs, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import needs_chromium
from tests.dashboard.histories import History
from tests.dashboard.hubs import ShownHub, family, finished_run, make_instance, running
from tests.rest.dashboard.conftest import Opener

pytestmark = needs_chromium

HUB = "/taskhubs/default"
RUN = f"{HUB}/instances/run-1"
NARROW = {"width": 400, "height": 800}


def test_times_are_in_the_readers_zone_and_utc_stays_on_hover(
    hub: ShownHub, open_page: Opener
) -> None:
    hub.put(finished_run())
    page = open_page(HUB, timezone_id="Asia/Kolkata")
    time = page.locator("tbody time")
    expect(time).to_have_text("2026-11-24 08:30:00")
    expect(time).to_have_attribute("datetime", "2026-11-24T03:00:00.000Z")
    expect(time).to_have_attribute("title", "2026-11-24T03:00:00.000Z")
    expect(page.locator("thead")).to_contain_text("Created (GMT+5:30)")


def test_local_times_survive_a_refresh(hub: ShownHub, open_page: Opener) -> None:
    hub.put(finished_run())
    page = open_page(HUB, timezone_id="Asia/Kolkata")
    hub.put(make_instance("run-2", created=60))
    expect(page.locator("tbody time").first).to_have_text("2026-11-24 08:31:00")
    expect(page.locator("tbody time").last).to_have_text("2026-11-24 08:30:00")


def test_a_page_whose_instance_is_gone_says_so_and_asks_no_more(
    hub: ShownHub, browser: Browser, address: str
) -> None:
    hub.put(running())
    page = browser.new_page()
    page.goto(f"{address}{RUN}")
    hub.real.store.remove("run-1")
    expect(page.get_by_role("status")).to_contain_text("This instance no longer exists")
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)  # Longer than the two seconds between refreshes.
    assert asked == []
    page.close()


def test_the_reader_gets_from_a_failed_run_to_the_item_that_failed(
    hub: ShownHub, open_page: Opener
) -> None:
    for member in family(parts=3, items=10, failed_item=13):
        hub.put(member)
    page = open_page(HUB)
    page.get_by_role("link", name="run-1", exact=True).click()
    page.get_by_role("link", name="process_work_item 13").click()
    row = page.locator("tr:target")
    expect(row).to_contain_text("13 is unlucky")
    expect(row).to_be_in_viewport()


def test_a_turn_is_opened_by_keyboard_and_stays_open_when_the_page_refreshes(
    hub: ShownHub, open_page: Opener
) -> None:
    hub.put(running())
    page = open_page(RUN)
    page.locator("#turn-2 summary").focus()
    page.keyboard.press("Enter")
    event = page.locator("#turn-2").get_by_text("OrchestratorStarted")
    expect(event).to_be_visible()
    hub.put(running(unfinished=2))
    expect(page.locator("#timeline rect.completed")).to_have_count(8)
    expect(event).to_be_visible()


def test_a_link_to_an_event_opens_its_turn(hub: ShownHub, open_page: Opener) -> None:
    hub.put(finished_run())
    expect(open_page(f"{RUN}#event-14").locator("#event-14")).to_be_in_viewport()


def test_what_waits_is_thin_and_pale_and_what_runs_comes_after_it(
    hub: ShownHub, open_page: Opener
) -> None:
    history = History().turn(0)
    for number in range(4):
        history.scheduled(0, number, "work", str(number), waited=0.4 * number)
    for number in range(4):
        history.completed(0.4 * (number + 1), number)
    hub.put(make_instance(history=history))
    page = open_page(RUN)
    expect(page.locator("#timeline")).to_contain_text("4 steps, up to 1 in parallel")
    for number in range(2, 5):
        wait = page.locator(f"#bar-{number} rect.waiting").bounding_box()
        run = page.locator(f"#bar-{number} rect.completed").bounding_box()
        assert wait
        assert run
        assert wait["height"] < run["height"]
        assert wait["x"] + wait["width"] == pytest.approx(run["x"], abs=1)
    cells = page.locator("#step-4 td")
    expect(cells.nth(5)).to_have_text("1.20 s")
    expect(cells.nth(6)).to_have_text("400 ms")


def test_a_narrow_page_has_its_own_navigation_always_in_sight(
    hub: ShownHub, open_page: Opener
) -> None:
    hub.put(finished_run(items=60))
    page = open_page(RUN, viewport=NARROW)
    navigation = page.get_by_role("navigation", name="On this page")
    for name in ("Steps", "History", "Timeline"):
        navigation.get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_in_viewport()
        expect(navigation).to_be_in_viewport()


@pytest.mark.parametrize("settings", [{}, {"viewport": NARROW}], ids=["wide", "narrow"])
def test_the_count_of_a_group_is_never_cut_off(
    hub: ShownHub, open_page: Opener, settings: dict[str, object]
) -> None:
    history = History().turn(0)
    for number in range(1000):
        history.scheduled(0.1, number, "a_very_long_name_of_an_activity_that_nobody_can_read_whole")
    hub.put(make_instance(history=history))
    count = open_page(RUN, **settings).locator("#timeline .count")
    expect(count).to_have_text("\N{MULTIPLICATION SIGN} 1,000")
    assert count.evaluate("""e => e.scrollWidth <= e.clientWidth + 1 &&
        e.getBoundingClientRect().right <= e.parentElement.getBoundingClientRect().right + 1""")


def test_no_tick_line_runs_through_a_label(hub: ShownHub, open_page: Opener) -> None:
    hub.put(finished_run())
    page = open_page(RUN, viewport=NARROW)
    # What is painted on top where a label is: the label itself, on the card's own colour.
    label = page.locator("#bar-3 .label")
    assert label.evaluate("""e => {
        e.scrollIntoView({block: "center"});
        const box = e.getBoundingClientRect();
        return e.contains(document.elementFromPoint(box.x + 5, box.y + box.height / 2));
    }""")
    expect(label).not_to_have_css("background-color", "rgba(0, 0, 0, 0)")


def test_an_orchestration_is_started_again_with_changes(hub: ShownHub, open_page: Opener) -> None:
    hub.put(make_instance(input="[1, 2]"))
    page = open_page(RUN)
    page.get_by_role("link", name="Run again with changes").click()
    page.get_by_label("Input as JSON").fill("[3]")
    page.get_by_label("Instance ID").fill("again")
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".notice")).to_have_text("Started: this is the new instance.")
    expect(page.get_by_role("region", name="Input")).to_contain_text("[3]")
    expect(page).to_have_url(re.compile("/instances/again$"))


def test_what_a_filter_shows_is_purged_after_its_number_was_confirmed(
    hub: ShownHub, open_page: Opener
) -> None:
    for number in range(3):
        hub.put(make_instance(f"bad-{number}", status="FAILED"))
    hub.put(make_instance("good"))
    page = open_page(HUB)
    page.get_by_role("link", name="Failed 3").click()
    page.get_by_text("Purge 3…").click()
    page.get_by_role("button", name="Purge 3 ended instances").click()
    expect(page.locator(".notice")).to_contain_text("Purged 3 instances")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_downloaded_history_is_opened_again(hub: ShownHub, open_page: Opener) -> None:
    hub.put(finished_run())
    page = open_page(RUN)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the history").click()
    path = download.value.path()
    hub.real.store.remove("run-1")
    page.goto("/history")
    page.get_by_label("File").set_input_files(path)
    page.get_by_role("button", name="Open").click()
    expect(page.locator("#timeline li")).to_have_count(11)
