"""The emulator as an installed package, and as a copied folder."""

from __future__ import annotations

import os
import re
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

from dts_emulator import __version__
from tests.processes import FREE_PORTS, PROJECT, Program, dashboard_of, run, running

DIST_INFO = f"dts_emulator-{__version__}.dist-info"


def pip(python: str, *arguments: str) -> None:
    command = [python, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the wheel that pip builds of the emulator's folder."""
    source = tmp_path_factory.mktemp("source") / "emulator"
    left_out = shutil.ignore_patterns("tests", "docs", "__pycache__")
    shutil.copytree(PROJECT, source, ignore=left_out)
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    pip(sys.executable, "wheel", *options, str(source))
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of commands of an environment that has only the wheel and its needs."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    lock = str(PROJECT / "requirements.lock")
    pip(str(commands / "python"), "install", "--require-hashes", "-r", lock)
    pip(str(commands / "python"), "install", "--no-deps", str(wheel))
    return commands


def files_in(wheel: Path) -> set[PurePosixPath]:
    with zipfile.ZipFile(wheel) as archive:
        return {PurePosixPath(name) for name in archive.namelist()}


def test_the_wheel_holds_the_package_with_every_file_and_nothing_else(wheel: Path) -> None:
    ours = {
        PurePosixPath(path.relative_to(PROJECT).as_posix())
        for path in (PROJECT / "dts_emulator").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    installed = {path for path in files_in(wheel) if path.parts[0] != DIST_INFO}
    assert installed == ours


def test_it_needs_the_releases_that_it_is_tested_with_or_newer(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"{DIST_INFO}/METADATA").decode()
    needed = {
        requirement.name: requirement.specifier
        for requirement in map(Requirement, re.findall(r"Requires-Dist: (.*)", metadata))
        if requirement.marker is None
    }
    pins = (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(pin.split("==") for pin in pins if not pin.startswith("#"))
    assert needed.keys() == tested.keys() - {"flit-core"}
    for name in needed:
        assert SpecifierSet(f">={tested[name]}") & needed[name] == needed[name], name


@pytest.mark.slow
@pytest.mark.timeout(600)  # It waits for the package index.
def test_an_installed_emulator_has_a_command_a_fixture_and_a_dashboard(
    bin_folder: Path, tmp_path: Path
) -> None:
    python = str(bin_folder / "python")
    command = {"executable": str(bin_folder / "dts-emulator"), "folder": str(tmp_path)}
    version = run("--version", **command).stdout
    assert version.startswith(f"{__version__} (durabletask ")
    assert run("-m", "dts_emulator", "--version", executable=python).stdout == version
    in_process = "from dts_emulator import Emulator\nwith Emulator() as e: print(e.endpoint)"
    assert "http://127.0.0.1:" in run("-c", in_process, executable=python).stdout
    with running(*FREE_PORTS, **command) as emulator:
        emulator.wait_for_line("Task hubs")
        assert "Task hubs" in page_of(emulator, "/")
        assert "color-scheme" in page_of(emulator, "/static/dashboard.css")
        assert emulator.stop().status == 0


def page_of(emulator: Program, path: str) -> str:
    with urllib.request.urlopen(dashboard_of(emulator) + path, timeout=10) as answer:
        return str(answer.read(), "utf-8")
