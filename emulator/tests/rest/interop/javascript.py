"""Runs the JavaScript programs beside this file; each prints what it found out, as JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.processes import PROJECT, Program, running

NODE = shutil.which("node")
SDK = PROJECT / "tests" / "node_modules" / "@microsoft" / "durabletask-js"
PROGRAMS = Path(__file__).parent

needs_javascript = pytest.mark.skipif(
    NODE is None or not SDK.is_dir(),
    reason="needs Node.js and the SDK for JavaScript: `npm ci` in `emulator/tests`",
)


@contextmanager
def javascript(program: str, *arguments: str, **variables: str) -> Iterator[Program]:
    """Run a program for the length of a block."""
    file = str(PROGRAMS / program)
    with running(file, *arguments, executable=NODE or "node", **variables) as process:
        yield process


def answer(program: str, *arguments: str, **variables: str) -> Any:
    """Run a program to its end and return what it has printed."""
    with javascript(program, *arguments, **variables) as process:
        finished = process.finish()
    assert finished.status == 0, finished.stderr
    return json.loads(finished.stdout)
