"""A state file that cannot be written any more: noticed, said, and no change taken meanwhile."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from durabletask.client import TaskHubGrpcClient

from dts_emulator import Emulator
from dts_emulator.store.file import StateFile
from dts_emulator.store.pending import Changes
from tests.processes import running, wait_until
from tests.programs import new_client
from tests.state_files import client_of, emulator_of
from tests.test_command_line import health_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows lets nobody move an open file")

LOST = "was moved, removed or replaced"
INTERNAL_ERROR = """
import sys
from dts_emulator import __main__
from dts_emulator.store.pending import Changes

def write(self, connection):
    raise OverflowError("too large for SQLite")

Changes.write = write
sys.exit(__main__.main())
"""


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    other = path.with_name("other.db")
    StateFile(other).close()
    other.rename(path)


def remove_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def write_over(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


def refused_start(client: TaskHubGrpcClient) -> str:
    """Return why an emulator refuses to start an orchestration."""
    with pytest.raises(grpc.RpcError) as refused:
        client.schedule_new_orchestration("o")
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    return str(refused.value.details())


def test_the_log_beside_what_a_link_leads_to_is_watched_too(path: Path) -> None:
    real = path.with_name("real.db")
    path.symlink_to(real)
    with Emulator(db_file=path) as emulator:
        remove_log(real)
        wait_until(lambda: emulator.problem, "it is noticed")


def test_a_folder_that_cannot_be_entered_any_more_is_noticed_too(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with Emulator(db_file=folder / "dev.db") as emulator:
        folder.rename(tmp_path / "elsewhere")
        folder.write_text("no folder")
        wait_until(lambda: emulator.problem, "it is noticed")
        assert LOST in str(emulator.problem)


@pytest.mark.parametrize("harm", [remove, replace, remove_log, empty, write_over])
def test_a_file_that_is_removed_or_replaced_is_noticed_without_a_call(
    path: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    with Emulator(db_file=path) as emulator, new_client(emulator) as client:
        client.schedule_new_orchestration("o")
        harm(path)
        wait_until(lambda: emulator.problem, "it is noticed")
        assert LOST in refused_start(client)
        assert caplog.text.count(LOST) == 1


def test_an_emulator_whose_file_was_moved_says_so_once_and_ends_with_status_1(path: Path) -> None:
    with emulator_of(path) as program, client_of(program) as client:
        client.schedule_new_orchestration("o")
        path.rename(path.with_name("elsewhere.db"))
        wait_until(lambda: health_of(program) == 503, "the health check says so")
        assert LOST in refused_start(client)
        program.wait_for_line(LOST)
        assert program.stderr.count(LOST) == 1
        assert program.stop().status == 1


def test_the_emulator_goes_on_once_its_file_is_back(path: Path) -> None:
    away = path.with_name("elsewhere.db")
    with emulator_of(path) as program, client_of(program) as client:
        path.rename(away)
        wait_until(lambda: health_of(program) == 503, "the loss is noticed")
        away.rename(path)
        wait_until(lambda: health_of(program) == 200, "it is well again")
        kept = client.schedule_new_orchestration("o")
        program.wait_for_line("is writable again")
        assert program.stop().status == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM instances").fetchall() == [(kept,)]


def test_no_change_is_acknowledged_that_went_to_a_file_that_is_gone(path: Path) -> None:
    with Emulator(db_file=path) as emulator, new_client(emulator) as client:
        copy = path.with_name("copy.db")
        shutil.copy(path, copy)
        copy.rename(path)
        assert LOST in refused_start(client)  # At once: no wait.


def test_no_change_is_acknowledged_whose_file_goes_while_it_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Changes.write

    def write_and_move(changes: Changes, connection: sqlite3.Connection) -> None:
        write(changes, connection)
        if path.exists():
            path.rename(path.with_name("elsewhere.db"))

    monkeypatch.setattr(Changes, "write", write_and_move)
    with Emulator(db_file=path) as emulator, new_client(emulator) as client:
        with pytest.raises(grpc.RpcError) as refused:
            client.schedule_new_orchestration("o")
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_an_internal_error_of_the_writer_is_noticed(path: Path) -> None:
    ports = ("--port", "0", "--dashboard-port", "0")
    with running("-c", INTERNAL_ERROR, *ports, "--db-file", str(path)) as program:
        program.wait_for_line("Task hubs")
        for _ in range(2):
            with client_of(program) as client:
                assert "OverflowError: too large for SQLite" in refused_start(client)
        assert health_of(program) == 503
        finished = program.stop()
    assert finished.status == 1
    assert finished.stderr.count("Traceback") == 1
    assert "The last changes are lost." in finished.stderr
