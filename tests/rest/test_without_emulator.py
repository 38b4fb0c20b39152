"""The sample stands alone: its tests run where emulator/ was deleted, on any scheduler."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import NewTaskHub
from tests.processes import PATIENCE_SECONDS, PROJECT, Finished, copy_sample, running

# Lets `import dts_emulator` fail, as it does where the package is not installed.
PYTEST = (
    "import sys; sys.modules['dts_emulator'] = None; "
    "import pytest; sys.exit(pytest.main(sys.argv[1:]))"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a copy of the project without emulator/."""
    copy_sample(tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("tests", "docs", "benchmarks", ".vscode", ".devcontainer", ".github"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=ignored)
    for path in PROJECT.iterdir():
        if path.is_file() and path.suffix != ".py" and path.name != ".git":
            shutil.copy(path, tmp_path)
    return tmp_path


def pytest_in(project: Path, *arguments: str) -> Finished:
    options = ("-q", "-p", "no:cacheprovider", *arguments)
    with running("-c", PYTEST, *options, folder=str(project)) as program:
        return program.finish(3 * PATIENCE_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_system_tests_run_on_another_scheduler(project: Path, new_task_hub: NewTaskHub) -> None:
    scheduler = new_task_hub(check_determinism=False)
    endpoint = ("--endpoint", scheduler["ENDPOINT"], "--taskhub", scheduler["TASKHUB"])
    ended = pytest_in(project, "tests/test_quickstart.py", "tests/test_recovery.py", *endpoint)
    assert ended.status == 0, ended.stdout
    assert "9 passed" in ended.stdout
    assert "1 deselected" in ended.stdout


def test_all_tests_are_collected(project: Path) -> None:
    ended = pytest_in(project, "--collect-only", "tests", "tests/rest")
    assert ended.status == 0, ended.stdout
