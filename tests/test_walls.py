"""The walls of the house: who may import whom, and how long a file may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import PROJECT

SAMPLE = [PROJECT / f"{name}.py" for name in ("worker", "client", "scheduler", "logs", "errors")]
SAMPLE.append(PROJECT / "progress.py")
EMULATOR = sorted((PROJECT / "emulator").rglob("*.py"))
OURS = sorted(
    path
    for path in PROJECT.rglob("*.py")
    if not {".venv", "node_modules", "build"} & set(path.relative_to(PROJECT).parts)
)
TIMELINE = PROJECT / "emulator" / "dashboard" / "timeline.py"

# The only rooms that may know the SDK from within.
PRIVATE_ROOM = PROJECT / "emulator" / "task_hub"
PROTOCOL = "durabletask.internal.orchestrator_service_pb2"


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports, each with what it takes from them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def imports_from(path: Path, *packages: str) -> set[str]:
    """Return what a file imports of these packages."""
    return {
        name
        for name in imports_of(path)
        if any(name == package or name.startswith(f"{package}.") for package in packages)
    }


def loaded_by(module: str) -> set[str]:
    """Return all modules that are loaded once `module` has been imported."""
    program = f"import sys, {module}; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return set(answer.stdout.split())


@pytest.mark.parametrize("path", SAMPLE, ids=name_of)
def test_the_sample_never_imports_the_emulator(path: Path) -> None:
    assert imports_from(path, "emulator") == set()


@pytest.mark.parametrize("path", EMULATOR, ids=name_of)
def test_the_emulator_never_imports_the_sample(path: Path) -> None:
    assert imports_from(path, *(sample.stem for sample in SAMPLE)) == set()


def test_nothing_of_the_emulator_is_loaded_with_the_sample() -> None:
    loaded = loaded_by("worker, client")
    assert not {name for name in loaded if name.split(".")[0] == "emulator"}
    assert "durabletask.testing" not in loaded


def test_nothing_of_the_sample_is_loaded_with_the_emulator() -> None:
    loaded = loaded_by("emulator.__main__, emulator.dashboard.app")
    assert not loaded & {sample.stem for sample in SAMPLE}


@pytest.mark.parametrize(
    "path", [path for path in (*SAMPLE, *EMULATOR) if PRIVATE_ROOM not in path.parents], ids=name_of
)
def test_only_the_task_hub_knows_the_sdk_from_within(path: Path) -> None:
    allowed = {"durabletask.internal", PROTOCOL} if path.name == "server.py" else set()
    assert imports_from(path, "durabletask.internal", "durabletask.testing") <= allowed
    private = {
        name
        for name in imports_from(path, "durabletask")
        if any(part.startswith("_") for part in name.split("."))
    }
    assert private == set()


@pytest.mark.skipif(not TIMELINE.exists(), reason="there is no timeline yet")
def test_the_timeline_is_pure() -> None:
    forbidden = ("starlette", "jinja2", "uvicorn", "httpx", "socket", "pathlib", "os", "io")
    assert imports_from(TIMELINE, *forbidden) == set()
    names = {
        node.id
        for node in ast.walk(ast.parse(TIMELINE.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name)
    }
    assert not names & {"open", "print"}


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_a_file_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring
    assert len(docstring.splitlines()) <= 7
