"""The conformance table names every RPC, and no test that is not there."""

from __future__ import annotations

import re

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from tests.processes import PROJECT

TABLE = (PROJECT / "docs" / "conformance.md").read_text(encoding="utf-8")
RPCS = [method.name for method in pb.DESCRIPTOR.services_by_name["TaskHubSidecarService"].methods]
HARDENING = (PROJECT / "docs" / "hardening.md").read_text(encoding="utf-8")


def test_the_table_has_every_rpc() -> None:
    for rpc in RPCS:
        written_out = re.search(rf"`{rpc}`", TABLE)
        in_short = re.search(rf"`\.\.\.{re.sub('^(Complete|WaitForInstance)', '', rpc)}`", TABLE)
        family = rpc.startswith("AbandonTask") and "`AbandonTask...WorkItem`" in TABLE
        assert written_out or in_short or family, rpc


def test_the_tables_name_tests_that_exist() -> None:
    named = set(re.findall(r"`(?:tests/)?((?:\w+/)*test_\w+)(?:\.py)?`", TABLE + HARDENING))
    assert len(named) > 40
    for name in named - {"test_dts_large_payload_e2e"}:  # A test of the SDK's own project.
        assert (PROJECT / "tests" / f"{name}.py").exists(), name


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
