"""The command `dts-emulator replay`: what it prints, and its exit statuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dts_emulator import Emulator
from dts_emulator.__main__ import main
from dts_emulator.engine.history_json import history_json
from dts_emulator.replay.worker_process import WorkerProcess
from tests.processes import PROJECT, running, wait_until
from tests.programs import end_of, new_client, new_worker, program_of
from tests.replay import chains, programme

WORKER = [sys.executable, "-m", "tests.rest.replay.command_worker"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with histories of the chain, and a state file with two of its runs."""
    folder = tmp_path_factory.mktemp("histories")
    activities = (programme.reserve, programme.charge, programme.ship)
    with Emulator(db_file=folder / "state.db") as emulator:
        with program_of(emulator, chains.chain, *activities) as client:
            client.schedule_new_orchestration("chain", input="7", instance_id="ended")
            end_of(client, "ended")
        with orchestrator_only(emulator), new_client(emulator) as client:
            client.schedule_new_orchestration("chain", input="8", instance_id="running")
            wait_until(
                lambda: len(client.get_orchestration_history("running")) == 3, "a step is recorded"
            )
            client.schedule_new_orchestration("unknown", instance_id="pending")
        history = json.dumps(history_document(emulator, "ended"))
    (folder / "ended.json").write_text(history)
    return folder


@contextmanager
def orchestrator_only(emulator: Emulator) -> Iterator[None]:
    """Run a worker that leaves the chain's activities to others."""
    with new_worker(emulator, chains.chain) as worker:
        worker.use_work_item_filters()
        worker.start()
        yield


def history_document(emulator: Emulator, instance_id: str) -> Any:
    with emulator.hubs["default"].lock:
        instance = emulator.hubs["default"].store.instance(instance_id)
        assert instance is not None
        return json.loads(history_json(instance.history))


def replay(
    capsys: pytest.CaptureFixture[str], *arguments: str, variant: str = "chain"
) -> tuple[int, str, str]:
    """Run the command with a worker in which `variant` is the code of the chain."""
    status = main(["replay", *arguments, "--", *WORKER, "{endpoint}", "{taskhub}", variant])
    output = capsys.readouterr()
    return status, output.out, output.err


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command with invalid arguments, and return what it says."""
    try:
        status = main(["replay", *arguments])
    except SystemExit as error:
        status = int(error.code or 0)
    output = capsys.readouterr()
    assert status == 2, output
    assert output.out == ""
    assert "Traceback" not in output.err
    return output.err


# Results


def test_code_that_fits_is_said_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(folder / "ended.json")
    assert replay(capsys, file) == (0, f"ok {file}\n1 history: 1 ok\n", "")


def test_a_difference_is_shown_below_the_historys_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(folder / "ended.json")
    status, output, _ = replay(capsys, file, file, variant="chain/renamed_activity")
    assert status == 1
    assert (
        output
        == 2
        * (
            f"differs {file}: turn 2, step 2\n"
            '  recorded: activity charge({"order": "7", "by": "r-7"})\n'
            '  now:      activity bill({"order": "7", "by": "r-7"})\n'
        )
        + "2 histories: 2 differ\n"
    )


def test_json_holds_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(folder / "ended.json")
    status, output, _ = replay(capsys, "--json", file, variant="chain/early_return")
    document = json.loads(output)
    assert status == 1
    assert document["counts"] == {"ok": 0, "differs": 1, "not replayed": 0}
    (history,) = document["histories"]
    assert (history["name"], history["ok"]) == (file, False)
    assert history["differences"][0]["turn"] == 3
    assert history["differences"][0]["step"] == 3
    assert history["differences"][0]["recorded"] == 'activity ship("c-7")'


def test_an_orchestrator_that_is_not_registered_is_status_3(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(folder / "ended.json")
    status, output, _ = replay(capsys, file, variant="")
    assert status == 3
    reason = "The worker does not take 'chain': it has not registered it."
    assert output == f"refused {file}: {reason}\n1 history: 1 not replayed\n"


# State files


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["running"]),
        (["--status", "ended"], ["ended"]),
        (["--status", "all"], ["ended", "running"]),
    ],
)
def test_instances_of_a_state_file_are_replayed_by_status(
    options: list[str], names: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, output, _ = replay(capsys, "--db-file", str(folder / "state.db"), *options)
    assert (status, output.splitlines()[:-1]) == (0, [f"ok {name}" for name in names])


def test_a_state_file_is_left_as_it_is(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "read-only" / "state.db"
    file.parent.mkdir()
    shutil.copy(folder / "state.db", file)
    before = file.read_bytes()
    file.chmod(stat.S_IRUSR)
    file.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert replay(capsys, "--db-file", str(file))[0] == 0
        assert os.listdir(file.parent) == ["state.db"]
        assert file.read_bytes() == before
    finally:
        file.parent.chmod(stat.S_IRWXU)


def test_a_state_file_that_an_emulator_has_is_read_meanwhile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "live.db"
    with (
        Emulator(db_file=file) as emulator,
        orchestrator_only(emulator),
        new_client(emulator) as client,
    ):
        client.schedule_new_orchestration("chain", input="9", instance_id="live")
        wait_until(lambda: len(client.get_orchestration_history("live")) == 3, "a step is recorded")
        # What is in the history is in the file a moment later.
        wait_until(lambda: "ok live" in replay(capsys, "--db-file", str(file))[1], "it is seen")
        assert len(client.get_orchestration_history("live")) == 3


def test_no_running_instances_are_nothing_to_complain_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "empty.db"
    with Emulator(db_file=file):
        pass
    status, output, _ = replay(capsys, "--db-file", str(file))
    assert status == 0
    assert output == f"{file} has no running instances with a history in the task hub 'default'.\n"


def test_a_state_file_of_an_earlier_version_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "old.db"
    sql = (PROJECT / "tests" / "store" / "written_by_0_1_0.sql").read_text(encoding="utf-8")
    connection = sqlite3.connect(file)
    connection.executescript(sql)
    connection.close()
    before = file.read_bytes()
    status, output, _ = replay(capsys, "--db-file", str(file), "--status", "all")
    assert "has not registered it" in output
    assert status == 3
    assert file.read_bytes() == before


# Usage errors

HISTORY = '{"events": [{"executionStarted": {"name": "o"}}]}'


def test_invalid_arguments_are_status_2(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(folder / "ended.json")
    assert "'-- COMMAND' is missing" in usage_error(capsys, file)
    assert "COMMAND is missing" in usage_error(capsys, file, "--")
    assert "no history: name files" in usage_error(capsys, "--", "x")
    assert "not a number of seconds" in usage_error(capsys, file, "--timeout", "0", "--", "x")
    assert "invalid choice: 'new'" in usage_error(capsys, "--status", "new", "--", "x")
    assert "task hub name" in usage_error(capsys, "--task-hub", "a/b", "--", "x")
    missing = str(tmp_path / "missing.json")
    assert f"'{missing}' cannot be read: No such file" in usage_error(capsys, missing, "--", "x")
    assert "cannot be read: Is a directory" in usage_error(capsys, str(tmp_path), "--", "x")
    assert "'/no/such/program' cannot be run" in usage_error(capsys, file, "--", "/no/such/program")


def test_files_that_are_no_histories_are_status_2(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("{}")
    for option in ([str(wrong)], [str(folder / "ended.json"), str(wrong)]):
        assert "has no ExecutionStarted event" in usage_error(capsys, *option, "--", "x")
    wrong.write_text("hello")
    assert "Not a history in JSON" in usage_error(capsys, str(wrong), "--", "x")
    assert "cannot be read: file is not a database" in usage_error(
        capsys, "--db-file", str(wrong), "--", "x"
    )
    assert "does not exist" in usage_error(
        capsys, "--db-file", str(tmp_path / "none.db"), "--", "x"
    )
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE a (b)")
    assert "not the state file of an emulator" in usage_error(
        capsys, "--db-file", str(tmp_path / "other.db"), "--", "x"
    )
    assert "has no task hub 'second'; its task hubs: 'default'" in usage_error(
        capsys, "--db-file", str(folder / "state.db"), "--task-hub", "second", "--", "x"
    )


# Workers


def test_a_worker_that_ends_is_status_3_and_its_last_words_are_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(folder / "ended.json")
    program = "import sys; print('one'); sys.exit('no configuration')"
    status = main(["replay", file, file, "--", sys.executable, "-c", program])
    output = capsys.readouterr()
    assert status == 3
    assert output.out == (
        f"failed {file}: The worker has ended (exit status 1).\n2 histories: 2 not replayed\n"
    )
    assert "one\n" in output.err
    assert "no configuration\n" in output.err
    assert "The histories after this one were not replayed." in output.err


def test_a_command_that_is_no_worker_is_status_3(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(folder / "ended.json")
    sleeper = [sys.executable, "-c", "import time; time.sleep(100)"]
    assert main(["replay", file, "--timeout", "0.5", "--", *sleeper]) == 3
    assert "No worker connected to http://127.0.0.1:" in capsys.readouterr().out


def test_a_worker_gets_the_scheduler_and_no_connection_string(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    production = "Endpoint=https://production;TaskHub=live"
    for name in ("DURABLE_TASK_SCHEDULER_CONNECTION_STRING", "DURABLE_TASK_CONNECTION_STRING"):
        monkeypatch.setenv(name, production)
    monkeypatch.setenv("MY_CONNECTION_STRING", f"{production};Authentication=DefaultAzure")
    monkeypatch.setenv("DTS", "authentication = None; endpoint = http://localhost:8080")
    others = {
        "STORAGE": "DefaultEndpointsProtocol=https;BlobEndpoint=https://blobs;AccountKey=k",
        "INSIGHTS": "InstrumentationKey=k;IngestionEndpoint=https://insights",
        "BUS": "Endpoint=sb://bus.servicebus.windows.net/;SharedAccessKeyName=k",
    }
    for name, value in others.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ENDPOINT", "https://production")
    found = tmp_path / "found.json"
    program = (
        "import json, os, sys; json.dump([dict(os.environ), sys.argv], open(sys.argv[1], 'w'))"
    )
    command = [sys.executable, "-c", program, str(found), "--at={endpoint}", "{taskhub}"]
    with WorkerProcess(command, "http://127.0.0.1:1", "hub") as worker:
        wait_until(worker.problem, "it ends")
    variables, arguments = json.loads(found.read_text())
    assert (variables["ENDPOINT"], variables["TASKHUB"]) == ("http://127.0.0.1:1", "hub")
    assert variables["OTEL_SDK_DISABLED"] == "true"
    assert not [name for name, value in variables.items() if "CONNECTION_STRING" in name]
    assert "DTS" not in variables
    assert {name: variables[name] for name in others} == others
    assert arguments[2:] == ["--at=http://127.0.0.1:1", "hub"]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_check_ends_its_worker(
    number: signal.Signals, folder: Path, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    program = (
        f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(99)"
    )
    history = str(folder / "ended.json")
    command = ["-m", "dts_emulator", "replay", history, "--", sys.executable, "-c", program]
    with running(*command) as check:
        wait_until(lambda: pid_file.exists() and pid_file.read_text(), "the worker runs")
        check.send(number)
        assert check.finish().status == 130
    wait_until(lambda: not is_alive(int(pid_file.read_text())), "the worker has ended")


def test_the_command_without_replay_runs_the_emulator() -> None:
    with running("-m", "dts_emulator", "--port", "0", "--dashboard-port", "0") as emulator:
        emulator.wait_for_line("Task hubs")
        assert emulator.stop().status == 0
