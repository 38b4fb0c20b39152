"""The files for editors and containers: they are valid, and what they name exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.processes import FREE_PORTS, PROJECT, run, running

if TYPE_CHECKING:
    from dts_emulator import Emulator

LAUNCH, TASKS = PROJECT / ".vscode" / "launch.json", PROJECT / ".vscode" / "tasks.json"
SETTINGS = PROJECT / ".vscode" / "settings.json"
DEVCONTAINER = PROJECT / ".devcontainer" / "devcontainer.json"

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def load(file: Path) -> dict[str, Any]:
    """Return the content of a file of JSON with comments, each on a line of its own."""
    text = file.read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(re.sub(r"(?m)^\s*//.*$", "", text))
    return loaded


def named(file: Path, key: str) -> dict[str, dict[str, Any]]:
    """Return the entries of a list in a file by their names."""
    return {entry.get("name") or entry["label"]: entry for entry in load(file)[key]}


def filled_in(file: Path, arguments: list[str]) -> list[str]:
    """Return arguments as the editor gives them when its user answers with the defaults."""
    values = {f"${{input:{entry['id']}}}": entry["default"] for entry in load(file)["inputs"]}
    values["${workspaceFolder}"] = str(PROJECT)
    text = "\n".join(arguments)
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    assert "${" not in text
    return text.splitlines()


def python_commands() -> dict[str, list[str]]:
    """Return what launch.json and tasks.json run with Python."""
    commands = {}
    for name, entry in named(LAUNCH, "configurations").items():
        program = ["-m", entry["module"]] if "module" in entry else [entry["program"]]
        commands[f"launch {name}"] = filled_in(LAUNCH, [*program, *entry.get("args", [])])
    for name, task in named(TASKS, "tasks").items():
        if task.get("command") == "${command:python.interpreterPath}":
            commands[f"task {name}"] = filled_in(TASKS, task["args"])
    return commands


def make_targets() -> list[str]:
    """Return what tasks.json and devcontainer.json let make do."""
    created = load(DEVCONTAINER)["postCreateCommand"].split()
    tasks = [task for task in load(TASKS)["tasks"] if task.get("command") == "make"]
    assert created[0] == "make"
    return [*created[1:], *(target for task in tasks for target in task["args"])]


def test_the_files_are_json_with_comments() -> None:
    for file in (LAUNCH, TASKS, SETTINGS, DEVCONTAINER):
        assert load(file), file


def test_every_program_exists_and_takes_its_arguments() -> None:
    pytest.importorskip("dts_emulator", reason="there is no emulator/")
    for command in {tuple(command) for command in python_commands().values()}:
        finished = run(*command, "--help")
        assert finished.status == 0, finished.stderr
        assert "usage:" in finished.stdout


@needs_make
def test_every_target_of_make_exists() -> None:
    command = ["make", "--dry-run", *make_targets()]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)


def test_everything_that_is_started_together_exists() -> None:
    for compound in load(LAUNCH)["compounds"]:
        assert set(compound["configurations"]) <= named(LAUNCH, "configurations").keys()
    for task in load(TASKS)["tasks"]:
        assert set(task.get("dependsOn", [])) <= named(TASKS, "tasks").keys()


def ready_line(task: str) -> re.Pattern[str]:
    """Return by what the editor sees that a task in the background is ready."""
    matcher = named(TASKS, "tasks")[task]["problemMatcher"]["background"]
    return re.compile(matcher["endsPattern"], re.MULTILINE)


def test_the_editor_sees_when_the_emulator_is_ready() -> None:
    pytest.importorskip("dts_emulator", reason="there is no emulator/")
    with running(*named(TASKS, "tasks")["Emulator"]["args"], *FREE_PORTS) as program:
        program.wait_for_line("Task hubs")
        assert ready_line("Emulator").search(program.stdout)


def test_the_editor_sees_when_the_worker_is_ready(emulator: Emulator) -> None:
    command = named(TASKS, "tasks")["Worker"]["args"]
    with running(*command, ENDPOINT=emulator.endpoint) as program:
        program.wait_for_line("Successfully connected")
        assert ready_line("Worker").search(program.stderr)


def test_the_container_names_both_ports_of_the_emulator() -> None:
    pytest.importorskip("dts_emulator", reason="there is no emulator/")
    container = load(DEVCONTAINER)
    usage = run("-m", "dts_emulator", "--help", COLUMNS="200").stdout
    defaults = re.findall(r"port; 0 = any free one \(default: (\d+)\)", usage)
    assert [str(port) for port in container["forwardPorts"]] == defaults
    assert [container["portsAttributes"][port]["label"] for port in defaults] == [
        "Scheduler (gRPC)",
        "Dashboard",
    ]


def test_the_container_has_a_python_that_ci_tests() -> None:
    version = load(DEVCONTAINER)["image"].rpartition(":")[2]
    assert f'"{version}"' in (PROJECT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
