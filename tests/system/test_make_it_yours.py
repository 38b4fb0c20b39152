"""What README's "Make it yours" says, done to a copy of the sample, which is then run."""

from __future__ import annotations

import ast
import json
import re
import signal
from pathlib import Path

import pytest

from tests.processes import copy_sample, needs_signals, run, running
from tests.terminals import needs_terminal, run_on_terminal
from tests.test_readme import section

pytestmark = pytest.mark.system

BLOCKS = re.findall(r"```python\n(.*?)```", section("Make it yours"), re.DOTALL)


class Sample:
    """A copy of the sample that a user edits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        copy_sample(folder)
        self.worker, self.client = str(folder / "worker.py"), str(folder / "client.py")

    def replace(self, name: str, *, old: str, new: str) -> None:
        """Replace a text that a file of the copy has."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def let_items_take(self, seconds: int) -> None:
        """Replace the delay that stands for work."""
        self.replace("worker.py", old="MIN_WORK_SECONDS = 0.5", new=f"MIN_WORK_SECONDS = {seconds}")
        self.replace("worker.py", old="MAX_WORK_SECONDS = 2.0", new=f"MAX_WORK_SECONDS = {seconds}")

    def replace_functions(self, code: str) -> None:
        """Put functions in the place of those of the same name in worker.py."""
        path = self.folder / "worker.py"
        for function in _functions(code):
            text = path.read_text(encoding="utf-8")
            (old,) = (each for each in _functions(text) if each.name == function.name)
            new = ast.get_source_segment(code, function)
            path.write_text(text.replace(_source(text, old), new or ""), encoding="utf-8")


def _functions(code: str) -> list[ast.FunctionDef]:
    return [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]


def _source(code: str, node: ast.FunctionDef) -> str:
    source = ast.get_source_segment(code, node)
    assert source
    return source


def block_with(*words: str) -> str:
    """Return README's block of code that has these words."""
    (block,) = (block for block in BLOCKS if all(word in block for word in words))
    return str(block)


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path)


@pytest.mark.parametrize("count", [3, 2500])
def test_items_are_texts_and_results_nested_objects(
    scheduler: dict[str, str], sample: Sample, count: int
) -> None:
    sample.replace_functions(block_with("def process_work_item", '"words"'))
    sample.replace(
        "client.py",
        old="work_items = list(range(1, args.number_of_items + 1))",
        new=block_with("work_items =").strip(),
    )
    with running(sample.worker, **scheduler):
        client = run(sample.client, str(count), **scheduler)
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout) == {"texts": count, "words": 3 * count}


@needs_terminal
def test_everything_may_have_another_name(scheduler: dict[str, str], sample: Sample) -> None:
    names = {
        "fan_out_fan_in_orchestrator": "resize_all",
        "large_fan_out_orchestrator": "resize_very_many",
        "process_work_item": "resize",
        "aggregate_results": "summarise",
        "combine_aggregates": "summarise_summaries",
        "total_items": "pictures",
        "work_items": "paths",
    }
    for file in ("worker.py", "client.py", "large_fan_out.py"):
        path = sample.folder / file
        text = path.read_text(encoding="utf-8")
        for old, new in names.items():
            text = re.sub(rf"\b{old}\b", new, text)
        path.write_text(text, encoding="utf-8")
    with running(sample.worker, **scheduler):
        # Of ten items, some end long before the last: the bar is seen to move.
        for count in (10, 1500):
            stdout, terminal = run_on_terminal(sample.client, str(count), **scheduler)
            assert json.loads(stdout)["pictures"] == count
            assert re.search(rf"[1-9]\d*/{count} ", terminal), terminal


def fail_for_seven(sample: Sample) -> None:
    sample.let_items_take(seconds=0)
    sample.replace(
        "worker.py",
        old='    return {"item": item, "result": item * item}',
        new="    if item == 7:\n        raise ValueError('no such item')\n"
        '    return {"item": item, "result": item * item}',
    )


def test_an_item_that_fails_for_good_is_tried_three_times_and_fails_the_run(
    scheduler: dict[str, str], sample: Sample
) -> None:
    fail_for_seven(sample)
    with running(sample.worker, **scheduler) as worker:
        client = run(sample.client, "10", **scheduler)
        assert worker.stop().status == 0
    assert (client.status, client.stdout) == (1, "")
    assert "process_work_item failed for 7: ValueError: no such item" in client.stderr
    assert worker.stderr.count("process_work_item failed for 7, attempt") == 3


@pytest.mark.parametrize("count", [10, 1500])
def test_one_bad_item_does_not_throw_away_the_others(
    scheduler: dict[str, str], sample: Sample, count: int
) -> None:
    sample.replace_functions(block_with("def process_work_item", '"error"'))
    with running(sample.worker, **scheduler):
        client = run(sample.client, str(count), **scheduler)
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout) == {
        "total_items": count,
        "sum": sum(n * n for n in range(1, count + 1) if n != 7),
        "failed": [{"item": 7, "error": "no such item"}],
    }


@needs_signals
def test_ctrl_c_gives_up_an_item_of_thirty_seconds_after_eight_and_another_worker_takes_it(
    scheduler: dict[str, str], sample: Sample
) -> None:
    sample.let_items_take(seconds=30)
    with running(sample.client, "1", "--timeout", "120", **scheduler):
        with running(sample.worker, **scheduler) as worker:
            worker.wait_for_line("Processing work item: 1")
            worker.send(signal.SIGINT)
            ended = worker.finish()
        assert ended.status == 1
        assert "Worker stopped before its work in progress was done" in ended.stderr
        with running(sample.worker, **scheduler) as another:
            another.wait_for_line("Processing work item: 1")


def test_results_that_are_too_large_together_need_smaller_parts(
    scheduler: dict[str, str], sample: Sample
) -> None:
    sample.let_items_take(seconds=0)
    sample.replace(
        "worker.py",
        old='    return {"item": item, "result": item * item}',
        new='    return {"item": item, "result": item * item, "more": "x" * 2000}',
    )
    with running(sample.worker, **scheduler):
        too_many = run(sample.client, "1000", **scheduler)
        assert too_many.status == 1, too_many.stderr
    sample.replace("large_fan_out.py", old="MAX_FAN_OUT = 1000", new="MAX_FAN_OUT = 200")
    with running(sample.worker, **scheduler):
        client = run(sample.client, "1000", **scheduler)
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout)["sum"] == 333_833_500


def test_any_list_may_be_larger_than_one_input(scheduler: dict[str, str], sample: Sample) -> None:
    sample.let_items_take(seconds=0)
    sample.replace("worker.py", old='"result": item * item', new='"result": len(item)')
    sample.replace(
        "client.py",
        old="list(range(1, args.number_of_items + 1))",
        new="['x' * 2000] * args.number_of_items",
    )
    with running(sample.worker, **scheduler):
        client = run(sample.client, "1200", **scheduler)
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout)["sum"] == 1200 * 2000


def test_an_async_activity_is_refused_when_the_worker_starts(
    scheduler: dict[str, str], sample: Sample
) -> None:
    sample.replace("worker.py", old="def process_work_item", new="async def process_work_item")
    worker = run(sample.worker, **scheduler)
    assert worker.status == 2
    assert "'process_work_item' is an async function; write 'def' instead" in worker.stderr
    assert "Traceback" not in worker.stderr
