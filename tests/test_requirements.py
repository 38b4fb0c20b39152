"""The requirements: every pin is exact and runs on the oldest Python that is promised."""

from __future__ import annotations

from importlib.metadata import metadata

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.processes import PROJECT

OLDEST_PYTHON = "3.10"

FILES = (
    "requirements.txt",
    "emulator/requirements.txt",
    "requirements-run.txt",
    "requirements-dev.txt",
)

REQUIREMENTS = {
    line
    for file in FILES
    for line in (PROJECT / file).read_text(encoding="utf-8").splitlines()
    if line and not line.startswith(("#", "-r "))
}


@pytest.mark.parametrize("line", sorted(REQUIREMENTS))
def test_a_requirement_is_pinned_to_a_release_for_the_oldest_python(line: str) -> None:
    requirement = Requirement(line)
    assert [clause.operator for clause in requirement.specifier] == ["=="]
    needed = metadata(requirement.name).json.get("requires_python", "")
    assert OLDEST_PYTHON in SpecifierSet(str(needed))
