"""Fixtures for pytest, to be imported into a test module or conftest.py.

from dts_emulator.testing import emulator
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dts_emulator.server import Emulator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Give a fresh emulator in this process, on a free port, that skips the time of waits."""
    with Emulator(skip_time=True) as started:
        yield started


@pytest.fixture(scope="module")
def module_emulator() -> Iterator[Emulator]:
    """Give the tests of a module one such emulator, for a worker that all of them share.

    The SDK's worker takes a second to stop: one worker for each test costs that each time.
    """
    with Emulator(skip_time=True) as started:
        yield started
