"""The pages of a run of a hundred thousand items."""

from __future__ import annotations

import json
import time
from html import unescape
from urllib.parse import quote

import pytest

from tests.dashboard.asking import asking
from tests.dashboard.hubs import ShownHub, family

HUB = "/taskhubs/default"
RUN = f"{HUB}/instances/run-1"


@pytest.fixture(scope="module")
def hundred_thousand() -> ShownHub:
    """Make a run of as many items, each part of which is handed its items as a list."""
    parent, *parts = family(parts=100, items=1000)
    for number, part in enumerate(parts):
        part.input = str(list(range(number * 1000 + 1, number * 1000 + 1001)))
        created = parent.history[number + 1].subOrchestrationInstanceCreated
        created.input.value = part.input
    parent.input = str([json.loads(part.input or "") for part in parts])
    return ShownHub(parent, *parts)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        HUB,
        f"{HUB}?all=yes",
        RUN,
        f"{RUN}?status=COMPLETED",
        f"{RUN}?turns=open",
        f"{HUB}/instances/{quote('run-1:0042', safe='')}",
        f"{HUB}/instances/{quote('run-1:0042', safe='')}?steps=process_work_item&turns=open",
        f"{HUB}/workers",
    ],
)
def test_every_page_of_a_hundred_thousand_items_is_quick_and_small(
    hundred_thousand: ShownHub, path: str
) -> None:
    client = asking(hundred_thousand)
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        answer = client.get(path)
        seconds.append(time.process_time() - begin)
    assert len(answer.content) < 200_000
    # Of this process alone, whatever else runs. Measured: at most 120 ms; the rest is reserve.
    assert min(seconds) < 1


def test_the_run_just_created_is_on_the_first_screen_for_any_number_of_items(
    hundred_thousand: ShownHub,
) -> None:
    rows = unescape(asking(hundred_thousand).get(HUB).text).split('<tr id="i-')
    assert rows[1].startswith('run-1"')
    assert len(rows) == 2
