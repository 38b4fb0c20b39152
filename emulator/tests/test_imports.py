"""The import rules of the emulator: layers that import one way, and what each may use."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from tests.processes import PROJECT

PACKAGE = PROJECT / "dts_emulator"
FILES = sorted(PACKAGE.rglob("*.py"))
TESTS = [
    path for path in sorted((PROJECT / "tests").rglob("*.py")) if "node_modules" not in path.parts
]

# Each layer imports only those below it and itself.
LAYERS = [
    {"__main__"},
    {"server"},
    {"rpc", "dashboard", "replay"},
    {"hub"},
    {"store"},
    {"engine"},
]

# All that the emulator may use of the SDK's internals.
PROTOCOL = "durabletask.internal.orchestrator_service_pb2"


def module_of(path: Path) -> str:
    """Return a file's module name, e.g. `dts_emulator.engine.model`."""
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Return the modules that a file imports, each also with the names it takes from them."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def imported_modules(path: Path) -> set[str]:
    """Return the emulator's own modules that a file imports when it is loaded or later."""
    names = imports_of(path)
    found = {name for name in names if name in MODULES}
    # `from package import module` names both: the module is what counts.
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def layer_of(module: str) -> int | None:
    """Return the index of a module's layer, None for what stands beside the layers."""
    part = [*module.split("."), ""][1]
    return next((number for number, layer in enumerate(LAYERS) if part in layer), None)


def test_imports_go_from_a_layer_to_those_below_it() -> None:
    for module, path in MODULES.items():
        mine = layer_of(module)
        for imported in imported_modules(path):
            theirs = layer_of(imported)
            if mine is None or theirs is None or module.split(".")[1] == imported.split(".")[1]:
                continue
            assert mine < theirs, f"{module} imports {imported}"


def test_imports_have_no_circle() -> None:
    graph = {module: imported_modules(path) - {module} for module, path in MODULES.items()}
    TopologicalSorter(graph).prepare()  # Raises CycleError, which names the circle.


def longest_chain(modules: set[str]) -> list[str]:
    """Return the longest way from one of the modules to another by imports among them."""
    graph = {one: imported_modules(MODULES[one]) & modules - {one} for one in modules}
    longest: dict[str, list[str]] = {}
    for module in TopologicalSorter(graph).static_order():
        below = max((longest[one] for one in graph[module]), key=len, default=[])
        longest[module] = [module, *below]
    return max(longest.values(), key=len)


def test_in_no_layer_are_imports_more_than_seven_levels_deep() -> None:
    for number in range(len(LAYERS)):
        chain = longest_chain({module for module in MODULES if layer_of(module) == number})
        assert len(chain) <= 7, " > ".join(chain)


def test_nothing_of_the_quickstart_is_imported_or_named() -> None:
    theirs = {"worker", "client", "large_fan_out", "scheduler", "hosting", "examples"}
    for path in FILES:
        assert not {name.split(".")[0] for name in imports_of(path)} & theirs, path
    for path in PACKAGE.rglob("*"):
        if path.suffix in (".py", ".html", ".js", ".css"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\b(worker|client|large_fan_out|run)\.py\b", text), path


def test_nothing_uses_the_sdks_test_backend_or_its_private_names() -> None:
    for path in [*FILES, *TESTS]:
        used = {name for name in imports_of(path) if name.startswith("durabletask")}
        assert not {name for name in used if re.search(r"\.(testing|_)", name)}, path


def test_of_the_sdks_internals_only_the_protocol_is_used() -> None:
    for path in FILES:
        inside = {name for name in imports_of(path) if name.startswith("durabletask.internal")}
        assert {name for name in inside if not name.startswith(PROTOCOL)} <= {
            "durabletask.internal"
        }, path


def test_the_engine_has_neither_clock_nor_lock_nor_network_nor_log() -> None:
    forbidden = {"grpc", "threading", "time", "logging", "sqlite3", "socket", "asyncio"}
    for path in (PACKAGE / "engine").rglob("*.py"):
        assert not {name.split(".")[0] for name in imports_of(path)} & forbidden, path


def test_the_timeline_is_pure() -> None:
    path = PACKAGE / "dashboard" / "timeline.py"
    forbidden = {"starlette", "jinja2", "uvicorn", "socket", "pathlib", "os", "io"}
    assert not {name.split(".")[0] for name in imports_of(path)} & forbidden
    names = {node.id for node in ast.walk(tree_of(path)) if isinstance(node, ast.Name)}
    assert not names & {"open", "print"}


def test_classes_derive_from_data_errors_and_libraries_only() -> None:
    classes = [
        node for path in FILES for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef)
    ]
    data = {node.name for node in classes if "dataclass" in ast.unparse(node).split("class ")[0]}
    ours = {node.name for node in classes if not node.name.endswith("Error")} - data
    assert not ours & {ast.unparse(base) for node in classes for base in node.bases}


def test_a_file_has_a_docstring_and_at_most_500_lines() -> None:
    for path in [*FILES, *TESTS]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 500, path
        assert ast.get_docstring(tree_of(path)), path


def test_a_function_fits_on_a_screen() -> None:
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 45, (path, node.name)


def test_the_command_loads_no_test_backend() -> None:
    program = "import sys, dts_emulator.__main__, dts_emulator.dashboard.app; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert "durabletask.testing" not in answer.stdout.split()


def test_no_test_reads_a_private_attribute() -> None:
    for path in TESTS:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr):
                assert ast.unparse(node.value) in ("self", "cls", "super()"), (path, node.lineno)
