"""The code in docs/replay.md that fetches histories does so, for the command to replay."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dts_emulator import Emulator, Replayer
from tests.processes import PROJECT, wait_until
from tests.programs import is_running, program_of, worker_of
from tests.replay import waits

GUIDE = (PROJECT / "docs" / "replay.md").read_text(encoding="utf-8")


def test_the_code_that_fetches_running_instances_writes_histories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = next(one for one in re.findall("```python\n(.*?)```", GUIDE, re.S) if "quote" in one)
    here = code.replace("DefaultAzureCredential()", "None").replace("channel=True", "channel=False")
    here = here.replace("from azure.identity import DefaultAzureCredential\n", "")
    monkeypatch.chdir(tmp_path)
    with Emulator() as emulator, program_of(emulator, waits.approval) as client:
        monkeypatch.setenv("ENDPOINT", emulator.endpoint)
        monkeypatch.setenv("TASKHUB", "default")
        client.schedule_new_orchestration("approval", input="r", instance_id="a/b")
        wait_until(lambda: is_running(client, "a/b"), "it runs")
        exec(here, {})
    with Replayer() as replayer, worker_of(replayer, waits.approval):
        result = replayer.replay(tmp_path / "histories" / "a%2Fb.jsonl.gz", name="a/b")
    assert str(result) == "ok a/b"
