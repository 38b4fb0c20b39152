"""The commands in docs/azure.md, in bash, with stand-ins for az, azd and python."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import PROJECT

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")

# Notes its arguments, one on a line, and prints a value as `az --query ... --output tsv` does.
STAND_IN = '#!/bin/bash\nprintf "%s\\n" "$0" "$@" "" >> calls\necho "value-of-${@: -1}"\n'


def test_the_commands_are_valid_bash_that_uses_only_variables_set_before(tmp_path: Path) -> None:
    page = (PROJECT / "docs/azure.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    for program in ("az", "azd", "python"):
        (tmp_path / program).write_text(STAND_IN)
        (tmp_path / program).chmod(0o755)
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", "".join(blocks)],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")

    calls = (tmp_path / "calls").read_text().strip().split("\n\n")
    commands = [call.splitlines() for call in calls]
    assert len(commands) > 20
    for command in commands:
        assert [word for word in command if not word or "$" in word] == [], command

    template = json.loads((tmp_path / "scale.json").read_text())["properties"]["template"]
    rules = template["scale"]["rules"]
    assert [rule["custom"]["metadata"]["workItemType"] for rule in rules] == [
        "Activity",
        "Orchestration",
    ]
    (concurrency,) = re.findall(r"--args=--concurrency=(\d+) *\\?$", page, re.MULTILINE)
    for rule in rules:
        assert rule["custom"]["metadata"]["maxConcurrentWorkItemsCount"] == concurrency
