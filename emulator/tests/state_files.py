"""Emulators with --db-file as real processes, and what they say when they refuse the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.client import TaskHubGrpcClient

from dts_emulator import Emulator
from dts_emulator.store.file import FileError
from tests.processes import FREE_PORTS, Program, endpoint_of, running


@contextmanager
def emulator_of(path: Path, *arguments: str) -> Iterator[Program]:
    """Run an emulator on free ports with its state in a file."""
    with running("-m", "dts_emulator", *FREE_PORTS, "--db-file", str(path), *arguments) as program:
        program.wait_for_line("Task hubs")
        yield program


@contextmanager
def client_of(program: Program) -> Iterator[TaskHubGrpcClient]:
    with DurableTaskSchedulerClient(
        host_address=endpoint_of(program),
        taskhub="default",
        token_credential=None,
        secure_channel=False,
    ) as client:
        yield client


def refusal(path: Path) -> str:
    """Return why an emulator in this process cannot use its file."""
    with pytest.raises(FileError) as refused:
        Emulator(db_file=path).start()
    return str(refused.value)
