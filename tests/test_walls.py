"""The walls of the house: who may import whom, and how long a file may be."""

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
PROGRAMS = [PROJECT / f"{name}.py" for name in ("worker", "client", "large_fan_out", "scheduler")]
SAMPLE = [*PROGRAMS, *HOSTING, *EXAMPLES]
SAMPLE_MODULES = ("worker", "client", "large_fan_out", "scheduler", "hosting", "examples")

# What a reader takes in at once: the programs of the sample, by their number of lines.
MOST_LINES = {
    "worker.py": 120,
    "client.py": 130,
    "large_fan_out.py": 70,
    **{
        f"examples/{form}/{program}.py": 60
        for form in ("text_lengths", "word_count")
        for program in ("worker", "client")
    },
}
EMULATOR = sorted((PROJECT / "emulator").rglob("*.py"))
OURS = sorted(
    path
    for path in PROJECT.rglob("*.py")
    if not {".venv", "node_modules", "build"} & set(path.relative_to(PROJECT).parts)
)
TIMELINE = PROJECT / "emulator" / "dashboard" / "timeline.py"

ENGINE = sorted((PROJECT / "emulator" / "engine").rglob("*.py"))

# All that anybody may use of the SDK's inside, and only the emulator may.
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


def attributes_of(path: Path, package: str) -> set[str]:
    """Return what a file reaches through the names that it has imported of a package."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    full_names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            full_names |= {a.asname or a.name.split(".")[0]: a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full_names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    reached: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root, _, rest = ast.unparse(node).partition(".")
            full = full_names.get(root, "")
            if full.split(".")[0] == package:
                reached.add(f"{full}.{rest}")
    return reached


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
    assert imports_from(path, *SAMPLE_MODULES) == set()


def test_nothing_of_the_emulator_is_loaded_with_the_sample() -> None:
    loaded = loaded_by("worker, client")
    assert not {name for name in loaded if name.split(".")[0] == "emulator"}
    assert "durabletask.testing" not in loaded


def test_nothing_of_the_sample_is_loaded_with_the_emulator() -> None:
    loaded = loaded_by("emulator.__main__, emulator.dashboard.app")
    assert not loaded & set(SAMPLE_MODULES)


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_nobody_uses_the_sdks_test_backend_or_its_private_names(path: Path) -> None:
    used = imports_from(path, "durabletask") | attributes_of(path, "durabletask")
    assert not {name for name in used if name.startswith("durabletask.testing")}
    assert not {name for name in used if re.search(r"\._(?!_)", name)}


@pytest.mark.parametrize("path", [*SAMPLE, *EMULATOR], ids=name_of)
def test_of_the_sdks_inside_only_the_emulator_knows_the_protocol(path: Path) -> None:
    used = imports_from(path, "durabletask") | attributes_of(path, "durabletask")
    inside = {name for name in used if name.startswith("durabletask.internal")}
    protocol = {name for name in inside if name.startswith(PROTOCOL)}
    assert inside - protocol <= {"durabletask.internal"}
    assert not inside or path in EMULATOR


@pytest.mark.parametrize("path", ENGINE, ids=name_of)
def test_the_engine_has_neither_clock_nor_lock_nor_network_nor_log(path: Path) -> None:
    forbidden = ("grpc", "threading", "time", "logging", "sqlite3", "socket", "asyncio")
    assert imports_from(path, *forbidden) == set()
    ours = imports_from(path, "emulator")
    assert {name for name in ours if not name.startswith("emulator.engine")} <= {"emulator"}


def test_nothing_in_the_emulator_inherits_from_anything_of_ours() -> None:
    """Composition: what a class derives from is data or an error of ours, or a library's."""
    classes = [
        node
        for path in EMULATOR
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    data = {node.name for node in classes if "dataclass" in ast.unparse(node).split("class ")[0]}
    ours = {node.name for node in classes if not node.name.endswith("Error")} - data
    assert not ours & {ast.unparse(base) for node in classes for base in node.bases}


@pytest.mark.parametrize("path", EMULATOR, ids=name_of)
def test_a_function_of_the_emulator_fits_on_a_screen(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 45, node.name


# --- The rooms of the sample ---


@pytest.mark.parametrize("path", HOSTING, ids=name_of)
def test_hosting_knows_no_program_that_it_hosts(path: Path) -> None:
    assert imports_from(path, "worker", "client", "large_fan_out", "examples") == set()


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_the_examples_use_only_hosting_and_the_scheduler(path: Path) -> None:
    assert imports_from(path, "worker", "client", "large_fan_out") == set()


@pytest.mark.parametrize("path", SAMPLE, ids=name_of)
def test_the_sample_takes_no_private_name_of_the_sdk(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    private = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "os"))
    }
    assert private == set()


@pytest.mark.parametrize("name", ["worker", "client"])
def test_no_name_of_the_sample_stands_in_the_progress_bar(name: str) -> None:
    words = (PROJECT / "hosting" / "progress.py").read_text(encoding="utf-8")
    tree = ast.parse((PROJECT / f"{name}.py").read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert not {function for function in functions - {"main"} if function in words}
    assert "total_items" not in words


@pytest.mark.parametrize(("name", "most"), MOST_LINES.items())
def test_a_program_of_the_sample_is_read_in_one_go(name: str, most: int) -> None:
    assert len((PROJECT / name).read_text(encoding="utf-8").splitlines()) <= most


@pytest.mark.parametrize("path", SAMPLE, ids=name_of)
def test_a_function_of_the_sample_fits_on_a_screen(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    long = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.end_lineno
        if node.end_lineno - node.lineno >= 40
    }
    assert long == set()


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
