"""The import rules of the quickstart, and its limits of size."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import PROJECT

HOSTING = sorted((PROJECT / "hosting").rglob("*.py"))
EXAMPLES = sorted((PROJECT / "examples").rglob("*.py"))
PROGRAMS = [PROJECT / f"{name}.py" for name in ("worker", "client", "large_fan_out")]
QUICKSTART = [*PROGRAMS, *HOSTING, *EXAMPLES]
OURS = [
    *PROJECT.glob("*.py"),
    *HOSTING,
    *EXAMPLES,
    *(PROJECT / "tests").rglob("*.py"),
    *(PROJECT / "benchmarks").rglob("*.py"),
]

# The limits of what a reader has to take in.
MOST_LINES = {
    "worker.py": 100,
    "client.py": 95,
    "large_fan_out.py": 95,
    "run.py": 120,
    **{
        f"examples/{form}/{program}.py": 75
        for form in ("text_lengths", "word_count")
        for program in ("worker", "client")
    },
}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def imports_of(path: Path, *packages: str) -> set[str]:
    """Return what a file imports from these packages, each module with the names it takes."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.split(".")[0] in packages}


def offenders(paths: list[Path], *packages: str) -> dict[str, set[str]]:
    """Return the files that import from these packages, with what they import."""
    found = {path.relative_to(PROJECT).as_posix(): imports_of(path, *packages) for path in paths}
    return {name: imported for name, imported in found.items() if imported}


def private_names(path: Path) -> set[str]:
    """Return the names that begin with `_` and that a file takes from objects not its own."""
    return {
        node.attr
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute)
        and re.match(r"_(?!_)", node.attr)
        and node.attr != "_replace"  # of named tuples, whose public names begin with _ too
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "os"))
    }


def test_the_quickstart_never_imports_the_emulator() -> None:
    assert offenders(QUICKSTART, "dts_emulator") == {}


def test_importing_the_quickstart_loads_no_emulator_and_no_test_backend() -> None:
    program = "import sys, worker, client; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    loaded = set(answer.stdout.split())
    assert not {name for name in loaded if name.split(".")[0] == "dts_emulator"}
    assert "durabletask.testing" not in loaded


def test_hosting_imports_neither_worker_nor_client_nor_examples() -> None:
    assert offenders(HOSTING, "worker", "client", "large_fan_out", "examples") == {}


def test_the_examples_import_only_hosting() -> None:
    assert offenders(EXAMPLES, "worker", "client", "large_fan_out") == {}


def test_nothing_uses_the_sdks_test_backend_its_internals_or_its_private_names() -> None:
    for path in OURS:
        used = imports_of(path, "durabletask")
        assert not {name for name in used if re.search(r"\.(testing|_)", name)}, path
        assert private_names(path) == set(), path
        if path in QUICKSTART:
            assert not {name for name in used if ".internal" in name}, path


def test_a_file_has_a_docstring_and_at_most_500_lines() -> None:
    for path in OURS:
        assert lines_of(path) <= 500, path
        assert ast.get_docstring(tree_of(path)), path


def test_a_function_of_the_quickstart_fits_on_a_screen() -> None:
    for path in (*QUICKSTART, PROJECT / "run.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 45, (path, node.name)


def test_the_programs_of_the_quickstart_stay_short() -> None:
    lines = {name: lines_of(PROJECT / name) for name in MOST_LINES}
    assert {name: n for name, n in lines.items() if n > MOST_LINES[name]} == {}
    assert sum(map(lines_of, HOSTING)) <= 850


def test_the_worker_has_at_most_three_local_imports() -> None:
    local = ("hosting", "large_fan_out", "examples")
    body = tree_of(PROJECT / "worker.py").body
    modules = [node.module or "" for node in body if isinstance(node, ast.ImportFrom)]
    assert len([module for module in modules if module.split(".")[0] in local]) <= 3


def test_the_root_has_at_most_20_entries() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("not a git repository")
    entries = {file.partition("/")[0] for file in tracked.stdout.splitlines()}
    assert len([entry for entry in entries if not entry.startswith(".")]) <= 20
