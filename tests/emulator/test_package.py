"""The emulator in other projects: as an installed package, and as a copied folder."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
import venv
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from emulator import __version__
from tests.conftest import dashboard_of
from tests.emulator.test_command_line import FREE_PORTS
from tests.processes import PROJECT, Program, copy_sample, run, running

# What the README calls the folder that the emulator is installed from.
CLONE = "path/to/this/clone"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the wheel that pip builds of this project."""
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(folder), str(PROJECT))
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a project of a reader of the README, who has done what it says to install."""
    folder = tmp_path_factory.mktemp("project")
    copy_sample(folder)
    shutil.copy(PROJECT / "requirements.lock", folder)
    venv.create(folder / ".venv", with_pip=True)
    for command in commands_of_readme():
        if command[0] == "pip":
            pip(str(python_of(folder)), *command[1:-1], command[-1].replace(CLONE, str(wheel)))
    return folder


def pip(python: str, *arguments: str) -> None:
    command = [python, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def python_of(project: Path) -> Path:
    return project / ".venv" / ("Scripts" if os.name == "nt" else "bin") / "python"


def section_of_readme() -> str:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    return text.split("## Test your workflow\n")[1].split("\n## ")[0]


def commands_of_readme() -> list[list[str]]:
    (commands,) = re.findall(r"```bash\n(.*?)```", section_of_readme(), re.DOTALL)
    return [shlex.split(line) for line in commands.splitlines()]


def files_in(wheel: Path) -> list[PurePosixPath]:
    with zipfile.ZipFile(wheel) as archive:
        return [PurePosixPath(name) for name in archive.namelist()]


def metadata_of(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"dts_emulator-{__version__}.dist-info/METADATA").decode()


def test_nothing_but_the_emulator_is_installed(wheel: Path) -> None:
    folders = {path.parts[0] for path in files_in(wheel)}
    assert folders == {"emulator", f"dts_emulator-{__version__}.dist-info"}


def test_every_file_of_the_emulator_is_installed(wheel: Path) -> None:
    ours = {
        path.relative_to(PROJECT).as_posix()
        for path in (PROJECT / "emulator").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= {path.as_posix() for path in files_in(wheel)}


def test_it_needs_what_the_emulator_is_tested_with_or_newer(wheel: Path) -> None:
    needed = {
        requirement.name: requirement.specifier
        for requirement in map(Requirement, re.findall(r"Requires-Dist: (.*)", metadata_of(wheel)))
    }
    pins = (PROJECT / "emulator" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(pin.split("==") for pin in pins if not pin.startswith("#"))
    assert needed.keys() == tested.keys()
    for name, pinned in tested.items():
        assert SpecifierSet(f">={pinned}") & needed[name] == needed[name], name


@pytest.mark.slow
@pytest.mark.timeout(600)  # The first of them waits for the package index.
def test_the_readme_leads_to_a_passing_test_of_ones_own_workflow(project: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", section_of_readme(), re.DOTALL)
    (project / "test_workflow.py").write_text(program, encoding="utf-8")
    name, *arguments = commands_of_readme()[-1]
    assert name == "python"
    done = run(*arguments, executable=str(python_of(project)), folder=str(project))
    assert done.status == 0, done.stdout + done.stderr
    assert f"{program.count('def test_')} passed" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)  # The first of them waits for the package index.
def test_an_installed_emulator_has_a_command_and_a_dashboard(project: Path) -> None:
    command = {
        "executable": str(python_of(project).with_name("dts-emulator")),
        "folder": str(project),
    }
    assert run("--version", **command).stdout.startswith(f"{__version__} (durabletask ")
    with running(*FREE_PORTS, **command) as emulator:
        emulator.wait_for_line("Task hubs")
        assert "Task hubs" in page_of(emulator, "/")
        assert "color-scheme" in page_of(emulator, "/static/dashboard.css")
        assert emulator.stop().status == 0


def test_a_copied_folder_is_an_emulator(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "emulator", tmp_path / "emulator")
    told = run("-m", "emulator", "--version", folder=str(tmp_path))
    assert told.stdout.startswith(f"{__version__} (durabletask ")
    with running("-m", "emulator", *FREE_PORTS, folder=str(tmp_path)) as emulator:
        emulator.wait_for_line("Task hubs")
        assert "Task hubs" in page_of(emulator, "/")
        assert emulator.stop().status == 0


def page_of(emulator: Program, path: str) -> str:
    with urllib.request.urlopen(dashboard_of(emulator) + path, timeout=10) as answer:
        return str(answer.read(), "utf-8")
