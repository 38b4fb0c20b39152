"""README's complete project runs as it is written, and what README names exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dts_emulator.__main__ import main
from tests.processes import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
PACKAGE = PROJECT / "dts_emulator"


def files_in_readme() -> dict[str, str]:
    """Return the Python files that README shows, by the name in their first line."""
    blocks = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", README, re.DOTALL)
    return dict(blocks)


def test_the_complete_project_passes_its_own_tests(tmp_path: Path) -> None:
    files = files_in_readme()
    assert sorted(files) == ["conftest.py", "invoices.py", "test_invoices.py"]
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_every_option_of_the_command_is_in_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    options = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    table = README.partition("| Option |")[2].partition("\n\n")[0]
    assert options - {"--version"} == set(re.findall(r"`(--[a-z-]+)", table))


def test_every_file_that_readme_names_exists() -> None:
    named = re.findall(r"`((?:\w+/)*\w+\.py)`", README.partition("# How it works")[2])
    assert len(named) > 15
    for path in named:
        places = [
            PACKAGE / path,
            PROJECT / path,
            PACKAGE / "dashboard" / path,
            PACKAGE / "hub" / path,
        ]
        assert any(place.exists() for place in places), path


def test_every_link_leads_to_a_file() -> None:
    for link in set(re.findall(r"\]\(([^):#]+)\)", README)):
        assert (PROJECT / link).exists(), link
