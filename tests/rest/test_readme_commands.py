"""README's other commands print what README shows."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.conftest import NewTaskHub
from tests.processes import copy_sample, emulator_process, run, running
from tests.test_readme import block


@pytest.mark.system
def test_more_items_than_one_orchestration_holds_give_one_result(
    new_task_hub: NewTaskHub,
) -> None:
    command = block("Scale it", "client.py")[0]
    assert command == "python client.py 100000 --timeout 600"
    scheduler = new_task_hub()
    with running("worker.py", "--concurrency", "2000", **scheduler):
        client = run("client.py", "2500", "--timeout", "600", **scheduler)
    assert client.status == 0, client.stderr
    assert f'"sum": {sum(n * n for n in range(1, 2501))}' in client.stdout


def test_the_replay_check_prints_the_difference_in_readme(tmp_path: Path) -> None:
    pytest.importorskip("dts_emulator", reason="there is no emulator/")
    copy_sample(tmp_path)
    db_file = str(tmp_path / "dev.db")
    shown = block("Change an orchestrator while runs are in flight", "recorded: ")
    instance_id = shown[0].split()[1].rstrip(":")
    with emulator_process(0, "--db-file", db_file) as (emulator, endpoint):
        with running("worker.py", ENDPOINT=endpoint):
            run("client.py", "10", "--instance-id", instance_id, ENDPOINT=endpoint)
        emulator.stop()
    file = tmp_path / "worker.py"
    file.write_text(file.read_text().replace("aggregate_results", "summarise"))
    (command,) = block("Change an orchestrator while runs are in flight", "dts-emulator replay")
    words = command.replace("dts-emulator", "-m dts_emulator").replace("dev.db", db_file).split()
    words[words.index("python")] = sys.executable
    replay = run(*words, folder=str(tmp_path))
    assert replay.status == 1
    # The number of turns depends on how many results came together.
    turn = re.compile(r"turn \d+")
    assert [turn.sub("turn", line) for line in replay.stdout.splitlines()] == [
        turn.sub("turn", line) for line in shown
    ]
