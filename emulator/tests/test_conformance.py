"""The conformance table names every RPC, and no test that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from tests.processes import PROJECT

TABLE = (PROJECT / "docs" / "conformance.md").read_text(encoding="utf-8")
RPCS = [method.name for method in pb.DESCRIPTOR.services_by_name["TaskHubSidecarService"].methods]
NAMED = sorted(set(re.findall(r"`((?:engine/|dashboard/)?test_\w+)`", TABLE)))


@pytest.mark.parametrize("rpc", RPCS)
def test_the_table_has_every_rpc(rpc: str) -> None:
    written_out = re.search(rf"`{rpc}`", TABLE)
    in_short = re.search(rf"`\.\.\.{re.sub('^(Complete|WaitForInstance)', '', rpc)}`", TABLE)
    family = rpc.startswith("AbandonTask") and "`AbandonTask...WorkItem`" in TABLE
    assert written_out or in_short or family


@pytest.mark.parametrize("name", NAMED)
def test_the_table_names_tests_that_exist(name: str) -> None:
    assert Path(PROJECT / "tests" / f"{name}.py").exists()


def test_a_service_that_the_table_calls_not_done_is_unimplemented(emulator: Emulator) -> None:
    service = "microsoft.durabletask.sandboxes.SandboxActivities"
    assert f"`{service}`" in TABLE
    with grpc.insecure_channel(f"127.0.0.1:{emulator.port}") as channel:
        declare: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"/{service}/DeclareSandboxWorkerProfile"
        )
        with pytest.raises(grpc.RpcError) as refused:
            declare(b"", metadata=(("taskhub", "default"),), timeout=30)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
