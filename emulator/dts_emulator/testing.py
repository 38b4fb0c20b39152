"""Fixtures for pytest, to be imported into a test module or conftest.py.

from dts_emulator.testing import emulator
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dts_emulator.server import Emulator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Yield a new emulator in this process, on a free port, that skips waiting times."""
    with Emulator(skip_time=True) as started:
        yield started


@pytest.fixture(scope="module")
def module_emulator() -> Iterator[Emulator]:
    """Yield one such emulator for all tests of a module, which can share a worker.

    The SDK's worker takes a second to stop, which a worker for each test would add to each.
    """
    with Emulator(skip_time=True) as started:
        yield started
