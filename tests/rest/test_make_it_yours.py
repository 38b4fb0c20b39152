"""The changes that README and docs/orchestrators.md describe, made to a copy of the sample."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.processes import PROJECT, copy_sample, lines_of_trouble, run, running
from tests.rest.terminals import needs_terminal, run_on_terminal

pytestmark = pytest.mark.system

# A block of code for one file, with an import that it needs.
HEAD = re.compile(r"^# (\w+\.py), with: (.+)\n", re.MULTILINE)


class Copy:
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

    def make_items_instant(self) -> None:
        self.replace("worker.py", old="time.sleep(random.uniform(0.5, 2.0))", new="pass")

    def replace_functions(self, code: str) -> None:
        """Replace functions of the same names, in the files that have them."""
        for function in _functions(code):
            (path,) = (
                path
                for path in self.folder.glob("*.py")
                if f"\ndef {function.name}(" in path.read_text(encoding="utf-8")
            )
            text = path.read_text(encoding="utf-8")
            (old,) = (each for each in _functions(text) if each.name == function.name)
            new = _source(code, function)
            path.write_text(text.replace(_source(text, old), new), encoding="utf-8")


def _functions(code: str) -> list[ast.FunctionDef]:
    return [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]


def _source(code: str, node: ast.FunctionDef) -> str:
    source = ast.get_source_segment(code, node)
    assert source
    return source


def block(page: str, *words: str) -> str:
    """Return the block of Python on a page that has these words."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (found,) = (each for each in blocks if all(word in each for word in words))
    return str(found)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_the_sizes_of_the_files_in_a_folder_take_a_change_of_two_functions(
    scheduler: dict[str, str], copy: Copy
) -> None:
    code = block("README.md", "def read_work_items", "def process_work_item")
    for file, line in HEAD.findall(code):
        copy.replace(file, old="import sys\n", new=f"import sys\n{line}\n")
    copy.replace_functions(code)
    shutil.copytree(PROJECT / "docs", copy.folder / "docs")
    with running(copy.worker, folder=str(copy.folder), **scheduler):
        client = run(copy.client, folder=str(copy.folder), **scheduler)
    assert client.status == 0, client.stderr
    sizes = [path.stat().st_size for path in (PROJECT / "docs").iterdir() if path.is_file()]
    result = json.loads(client.stdout)
    assert (result["total_items"], result["sum"]) == (len(sizes), sum(sizes))


@needs_terminal
def test_everything_may_have_another_name(scheduler: dict[str, str], copy: Copy) -> None:
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
        path = copy.folder / file
        text = path.read_text(encoding="utf-8")
        for old, new in names.items():
            text = re.sub(rf"\b{old}\b", new, text)
        path.write_text(text, encoding="utf-8")
    with running(copy.worker, **scheduler):
        stdout, terminal = run_on_terminal(copy.client, **scheduler)
        assert json.loads(stdout)["pictures"] == 10
        assert re.search(r"[1-9]\d*/10 ", terminal), terminal
        assert json.loads(run(copy.client, "1500", **scheduler).stdout)["pictures"] == 1500


@pytest.mark.parametrize("count", [10, 1500])
def test_activities_that_return_errors_keep_the_other_results(
    scheduler: dict[str, str], copy: Copy, count: int
) -> None:
    copy.replace_functions(block("docs/orchestrators.md", "def process_work_item", '"error"'))
    with running(copy.worker, **scheduler):
        client = run(copy.client, str(count), **scheduler)
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout) == {
        "total_items": count,
        "sum": sum(n * n for n in range(1, count + 1) if n != 7),
        "failed": [{"item": 7, "error": "no such item"}],
    }


def test_an_idempotency_key_is_the_same_for_each_attempt(
    scheduler: dict[str, str], copy: Copy
) -> None:
    code = block("docs/orchestrators.md", "ctx.task_id")
    copy.replace_functions(code)
    copy.replace(
        "worker.py",
        old='    key = f"{ctx.orchestration_id}/{ctx.task_id}"\n',
        new='    key = f"{ctx.orchestration_id}/{ctx.task_id}"\n'
        "    seen = KEYS.setdefault(key, [])\n    seen.append(item)\n"
        "    if len(seen) == 1: raise ValueError('once')\n",
    )
    copy.replace("worker.py", old="\nITEM_RETRIES", new="\nKEYS: dict = {}\nITEM_RETRIES")
    with running(copy.worker, **scheduler) as worker:
        client = run(copy.client, "3", **scheduler)
        ended = worker.stop()
    assert client.status == 0, client.stderr
    assert sum("failed for" in line for line in lines_of_trouble(ended)) == 3


def test_results_that_are_too_large_together_need_smaller_parts(
    scheduler: dict[str, str], copy: Copy
) -> None:
    copy.make_items_instant()
    copy.replace(
        "worker.py",
        old='"result": item * item}',
        new='"result": item * item, "more": "x" * 2000}  # type: ignore',
    )
    with running(copy.worker, **scheduler):
        too_many = run(copy.client, "1000", **scheduler)
    assert too_many.status == 1, too_many.stderr
    (error,) = lines_of_trouble(too_many)
    assert [word for word in ("aggregate_results", "lower MAX_FAN_OUT") if word not in error] == []
    copy.replace("large_fan_out.py", old="MAX_FAN_OUT = 1000", new="MAX_FAN_OUT = 200")
    with running(copy.worker, **scheduler):
        client = run(copy.client, "1000", **scheduler)
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout)["sum"] == 333_833_500


def test_a_list_may_be_larger_than_one_input(scheduler: dict[str, str], copy: Copy) -> None:
    copy.make_items_instant()
    copy.replace("worker.py", old='"result": item * item', new='"result": len(item)')
    copy.replace("client.py", old="list(range(1, count + 1))", new="['x' * 2000] * count")
    with running(copy.worker, **scheduler):
        client = run(copy.client, "1200", **scheduler)
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout)["sum"] == 1200 * 2000
