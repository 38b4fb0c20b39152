"""The conformance table names every RPC, and no test that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from tests.processes import PROJECT

TABLE = (PROJECT / "docs" / "conformance.md").read_text(encoding="utf-8")
RPCS = [method.name for method in pb.DESCRIPTOR.services_by_name["TaskHubSidecarService"].methods]
NAMED = sorted(set(re.findall(r"`((?:engine/)?test_\w+)`", TABLE)))


@pytest.mark.parametrize("rpc", RPCS)
def test_the_table_has_every_rpc(rpc: str) -> None:
    written_out = re.search(rf"`{rpc}`", TABLE)
    in_short = re.search(rf"`\.\.\.{re.sub('^(Complete|WaitForInstance)', '', rpc)}`", TABLE)
    family = rpc.startswith("AbandonTask") and "`AbandonTask...WorkItem`" in TABLE
    assert written_out or in_short or family


@pytest.mark.parametrize("name", NAMED)
def test_the_table_names_tests_that_exist(name: str) -> None:
    assert Path(PROJECT / "tests" / f"{name}.py").exists()
