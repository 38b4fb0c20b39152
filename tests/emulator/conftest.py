"""Fixtures of the emulator's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Emulator
from tests.emulator.caller import Caller
from tests.emulator.wire import wire_to


@pytest.fixture
def caller(emulator: Emulator) -> Iterator[Caller]:
    """Give a caller of RPCs, connected to a fresh emulator."""
    with wire_to(emulator) as wire:
        yield Caller(wire)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a state file that is not there yet."""
    return tmp_path / "dev.db"
