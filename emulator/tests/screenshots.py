"""Remakes the pictures in docs/: `python -m tests.screenshots`.

The histories are made up, so that the pictures change only when the pages do.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from html import escape
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser

from dts_emulator.dashboard import create_app
from dts_emulator.engine.model import Instance
from tests.browser import chromium, serving
from tests.dashboard.histories import FAN_OUT_SECONDS, History
from tests.dashboard.hubs import ShownHub, family, finished_run, make_instance

DOCS = Path(__file__).parents[1] / "docs"
RUN = "7c0f1f5e9d5b4c6f8a3e2b1d4f6a8c90"
INSTANCES = "/taskhubs/default/instances"
PICTURES = {
    "dashboard-instance.png": (f"{INSTANCES}/{RUN}", 1200),
    "dashboard-list.png": ("/taskhubs/default", 620),
    "dashboard-large.png": (f"{INSTANCES}/{quote('hundred-thousand', safe='')}", 760),
    "dashboard-failed.png": (f"{INSTANCES}/run-1", 900),
}


def large_run(parts: int = 100, items: int = 1000, ended: int = 60) -> list[Instance]:
    """Make a run of 100,000 items that is under way for two minutes."""
    created = datetime.now(timezone.utc) - timedelta(seconds=120)
    begin = (created - datetime(2026, 11, 24, 3, tzinfo=timezone.utc)).total_seconds()
    whole = History().turn(begin + 0.01)
    made: list[Instance] = []
    for part in range(parts):
        child_id, first = f"hundred-thousand:{part:04x}", part * items + 1
        given = f'{{"first": {first}, "last": {first + items - 1}}}'
        whole.child(begin + 0.02, part, child_id, given)
        start = begin + 0.5 + part * 0.4
        history = History().turn(start)
        for number in range(items):
            history.scheduled(start + 0.1, number, "process_work_item", str(first + number))
        is_over = part < ended
        end = start + 60 + 10 * FAN_OUT_SECONDS[part % 10]
        for number in range(items if is_over else 300):
            history.completed(min(start + 10 + number * 0.05, begin + 119), number)
        if is_over:
            whole.child_completed(min(end, begin + 119), part)
        made.append(
            make_instance(
                child_id,
                created_at=created,
                took=end - begin,
                status="COMPLETED" if is_over else "RUNNING",
                input=given,
                parent_id="hundred-thousand",
                history=history,
            )
        )
    items_given = f'{{"first": 1, "last": {parts * items}}}'
    parent = make_instance(
        "hundred-thousand",
        created_at=created,
        status="RUNNING",
        input=items_given,
        history=whole,
        tags={"team": "billing"},
    )
    return [parent, *made]


def task_hub() -> ShownHub:
    """Make a task hub on the day after one has met the sample."""
    stopped = make_instance("nightly-2026-11-23", status="TERMINATED", created=-3725, took=61.5)
    thousand = finished_run("thousand-items", items=1000)
    earlier = [
        make_instance(instance_id, created=created, took=took)
        for instance_id, created, took in (
            ("b21e54c09a7f4d7e8d9ac0f3e5716b24", -95, 1.97),
            ("0d8f2a7733f24be19f4f62c8b0a5d913", -612, 2.11),
        )
    ]
    failed = family(parts=4, items=25, failed_item=63)
    return ShownHub(finished_run(RUN), thousand, stopped, *failed, *large_run(), *earlier)


def main() -> None:
    """Take every picture."""
    app = create_app({"default": task_hub()}, ready=lambda: True)
    DOCS.mkdir(exist_ok=True)
    with serving(app) as address, chromium() as browser:
        for name, (path, height) in PICTURES.items():
            page = browser.new_page(
                viewport={"width": 1200, "height": height},
                color_scheme="light",
                device_scale_factor=1.5,
                timezone_id="UTC",
            )
            page.goto(address + path)
            page.screenshot(path=DOCS / name)
        take_terminal(browser)


def take_terminal(browser: Browser) -> None:
    """Take the picture of the replay command's output, as docs/replay.md has it."""
    guide = (DOCS / "replay.md").read_text(encoding="utf-8")
    (output,) = re.findall("```console\n(.*?)```", guide, re.DOTALL)
    page = browser.new_page(viewport={"width": 1200, "height": 400}, device_scale_factor=1.5)
    style = "font: 14px/1.5 monospace; padding: 1em; background: #1b1f24; color: #e6edf3"
    page.set_content(f'<pre style="{style}; display: inline-block">{escape(output)}</pre>')
    page.locator("pre").screenshot(path=DOCS / "replay.png")


if __name__ == "__main__":
    main()
