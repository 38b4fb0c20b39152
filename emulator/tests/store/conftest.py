"""Both stores, for tests that every store must pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dts_emulator.store import Store
from dts_emulator.store.file import StateFile
from dts_emulator.store.memory import MemoryStore


class Opened:
    """A store, and how to open it again as an emulator does that starts after another's end."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: StateFile | None = None
        self.store: Store = MemoryStore()
        self.reopen()

    def reopen(self) -> Store:
        """Return the store as the next emulator finds it. What is in memory stays there."""
        self.close()
        if self._path is not None:
            self._file = StateFile(self._path)
            self.store = self._file.store("hub")
        return self.store

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


@pytest.fixture(params=["memory", "file"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path / "state.db" if request.param == "file" else None)
    yield opened
    opened.close()


@pytest.fixture
def store(opened: Opened) -> Store:
    """Give a new store, each of the two."""
    return opened.store


@pytest.fixture
def reopen(opened: Opened) -> Callable[[], Store]:
    """Give a function that opens the store again."""
    return opened.reopen
