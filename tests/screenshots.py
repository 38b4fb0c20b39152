"""Remakes the pictures of the dashboard in docs/: `python -m tests.screenshots`.

The histories are made up, so that the pictures change only when the pages do.
"""

from __future__ import annotations

from pathlib import Path

from emulator.dashboard import create_app
from tests.browser import chromium, serving
from tests.emulator.dashboard.hubs import ShownHub, finished_run, make_instance

DOCS = Path(__file__).parents[1] / "docs"
RUN = "7c0f1f5e9d5b4c6f8a3e2b1d4f6a8c90"
PICTURES = {
    "dashboard-instance.png": (f"/taskhubs/default/instances/{RUN}", 1200),
    "dashboard-list.png": ("/taskhubs/default", 520),
}


def task_hub() -> ShownHub:
    """Make a task hub on the day after one has met the sample."""
    failed = make_instance("order-1029", status="FAILED", created=-340, took=0.48)
    stopped = make_instance("nightly-2026-11-23", status="TERMINATED", created=-3725, took=61.5)
    large = finished_run("thousand-items", items=1000)
    earlier = [
        make_instance(instance_id, created=created, took=took)
        for instance_id, created, took in (
            ("b21e54c09a7f4d7e8d9ac0f3e5716b24", -95, 1.97),
            ("0d8f2a7733f24be19f4f62c8b0a5d913", -612, 2.11),
            ("e94ab7c61d0843f2a1b5c7d9e8f60312", -1480, 1.89),
        )
    ]
    return ShownHub(finished_run(RUN), large, failed, stopped, *earlier)


def main() -> None:
    """Take every picture."""
    app = create_app({"default": task_hub()}, ready=lambda: True)
    DOCS.mkdir(exist_ok=True)
    with serving(app) as address, chromium() as browser:
        for name, (path, height) in PICTURES.items():
            size = {"width": 1200, "height": height}
            page = browser.new_page(viewport=size, color_scheme="light", device_scale_factor=1.5)  # type: ignore[arg-type]
            page.goto(address + path)
            page.screenshot(path=DOCS / name)


if __name__ == "__main__":
    main()
