"""What is installed: exact pins for the oldest Python, locks with hashes, actions by commit."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.processes import PROJECT

OLDEST_PYTHON = "3.10"

FILES = ("requirements.txt", "emulator/requirements.txt", "requirements-dev.txt")

# What people and machines copy commands from.
INSTALLERS = (
    "Makefile",
    "Dockerfile",
    "README.md",
    "docs/azure.md",
    ".ci/run",
    ".github/workflows/ci.yml",
)


def requirements_in(file: str) -> list[str]:
    """Return the requirements of a file, with those of the files that it includes."""
    folder = (PROJECT / file).parent
    found: list[str] = []
    for line in (PROJECT / file).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            included = (folder / line.removeprefix("-r ")).relative_to(PROJECT)
            found += requirements_in(included.as_posix())
        elif line and not line.startswith("#"):
            found.append(line)
    return found


def lock_of(file: str) -> Path:
    return (PROJECT / file).with_suffix(".lock")


def locked_in(file: str) -> dict[str, list[str]]:
    """Return the hashes in the lock of a file by requirement, e.g. `tqdm==4.70.1`."""
    text = lock_of(file).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z])", re.sub(r"(?m)^ *#.*\n", "", text).strip())
    return {
        entry.partition(" \\\n")[0]: re.findall(r"--hash=(sha256:[0-9a-f]{64})", entry)
        for entry in entries
    }


@pytest.mark.parametrize("line", sorted({line for file in FILES for line in requirements_in(file)}))
def test_a_requirement_is_pinned_to_a_release_for_the_oldest_python(line: str) -> None:
    requirement = Requirement(line)
    assert [clause.operator for clause in requirement.specifier] == ["=="]
    needed = metadata(requirement.name).json.get("requires_python", "")
    assert OLDEST_PYTHON in SpecifierSet(str(needed))


@pytest.mark.parametrize("file", FILES)
def test_every_pin_is_in_its_lock_with_the_same_version(file: str) -> None:
    locked = {line.partition(" ;")[0] for line in locked_in(file)}
    assert [line for line in requirements_in(file) if line not in locked] == []


@pytest.mark.parametrize("file", FILES)
def test_a_lock_holds_exact_versions_with_hashes_and_no_address(file: str) -> None:
    for line, hashes in locked_in(file).items():
        assert [clause.operator for clause in Requirement(line).specifier] == ["=="], line
        assert hashes, line
    assert "://" not in lock_of(file).read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES)
def test_a_lock_holds_what_is_installed_here(file: str) -> None:
    for requirement in map(Requirement, locked_in(file)):
        if requirement.marker is None or requirement.marker.evaluate():
            version = metadata(requirement.name).json["version"]
            assert str(version) in requirement.specifier, requirement


def test_the_locks_agree_with_one_another() -> None:
    everything = locked_in("requirements-dev.txt")
    by_name = {line.split(" ;")[0]: hashes for line, hashes in everything.items()}
    for file in FILES:
        for line, hashes in locked_in(file).items():
            assert by_name[line.split(" ;")[0]] == hashes


@pytest.mark.parametrize("file", INSTALLERS)
def test_every_command_that_installs_requirements_asks_for_their_hashes(file: str) -> None:
    text = (PROJECT / file).read_text(encoding="utf-8").replace("\\\n", "")
    # README's prose names requirements.txt, which the quickstart installs.
    commands = [
        line for line in text.splitlines() if re.search(r"(?<!`)pip install\b.* -r |INSTALL", line)
    ]
    for command in commands:
        assert "--require-hashes" in command or "$(INSTALL)" in command, command
        assert re.findall(r"-r (\S+)", command) == re.findall(r"-r (\S+\.lock)\b", command)


@pytest.mark.parametrize(
    "workflow", [*(PROJECT / ".github" / "workflows").iterdir()], ids=lambda p: p.name
)
def test_a_workflow_names_actions_by_commit_and_may_only_read(workflow: Path) -> None:
    text = workflow.read_text(encoding="utf-8")
    for action in re.findall(r"uses: (.*)", text):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
    assert re.findall(r"(?m)^ *permissions:.*\n( +.*\n)", text) == ["  contents: read\n"]
