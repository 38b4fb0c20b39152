"""The server: ports, routing by task hub, start and stop."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from durabletask import task

from dts_emulator import Emulator, PortError
from dts_emulator import server as server_module
from tests.parts import waiting
from tests.processes import PATIENCE_SECONDS, wait_until
from tests.programs import new_client, program_of, run, worker_of


def greeting(ctx: task.OrchestrationContext, name: str) -> Any:
    return f"Hello, {name}!"
    yield


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Give a port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def port_of_another() -> Iterator[int]:
    """Give the gRPC port of another emulator."""
    with Emulator() as other:
        yield other.port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


# Ports


@pytest.mark.parametrize("holder", ["taken_port", "port_of_another"])
@pytest.mark.parametrize("which", ["port", "dashboard_port"])
def test_a_taken_port_is_found_before_anything_starts(
    request: pytest.FixtureRequest, holder: str, which: str
) -> None:
    port = request.getfixturevalue(holder)
    threads = set(threading.enumerate())
    emulator = Emulator(**{"dashboard_port": 0, which: port})
    with pytest.raises(PortError, match=f"Port {port} on 127.0.0.1 is in use"):
        emulator.start()
    assert emulator.state == "stopped"
    assert set(threading.enumerate()) <= threads


def test_a_port_that_is_taken_at_the_last_moment_leaves_nothing_running(
    taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_require_free", lambda *_: None)
    emulator = Emulator(port=taken_port, dashboard_port=0)
    with pytest.raises(PortError, match=f"Port {taken_port}"):
        emulator.start()
    assert emulator.dashboard_port
    assert is_free(emulator.dashboard_port)


def test_one_port_cannot_serve_both(emulator: Emulator) -> None:
    port = emulator.port
    emulator.stop()
    with pytest.raises(PortError):
        Emulator(port=port, dashboard_port=port).start()
    assert is_free(port)


def test_port_0_takes_a_free_one_and_says_which() -> None:
    with Emulator(dashboard_port=0) as emulator:
        assert emulator.endpoint == f"http://127.0.0.1:{emulator.port}"
        assert emulator.dashboard_url == f"http://127.0.0.1:{emulator.dashboard_port}"
        assert not is_free(emulator.port)
        assert not is_free(emulator.dashboard_port or 0)
    assert is_free(emulator.port)


def test_an_ipv6_host_is_written_in_brackets() -> None:
    assert Emulator(host="::1", port=1, dashboard_port=2).endpoint == "http://[::1]:1"


# Task hubs


@pytest.mark.parametrize(
    ("task_hub", "message"),
    [
        ("nowhere", "There is no task hub 'nowhere'; this emulator has 'blue', 'green'."),
        ("", "The call names no task hub; this emulator has 'blue', 'green'."),
    ],
)
def test_an_unknown_task_hub_is_named_beside_those_there_are(task_hub: str, message: str) -> None:
    metadata = (("taskhub", task_hub),) if task_hub else ()
    with (
        Emulator(task_hubs=["blue", "green"]) as emulator,
        grpc.insecure_channel(f"127.0.0.1:{emulator.port}") as channel,
    ):
        hello: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/TaskHubSidecarService/Hello"
        )
        with pytest.raises(grpc.RpcError) as refused:
            hello(b"", metadata=metadata)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    hint = "Set DTS_USE_DYNAMIC_TASK_HUBS=true to create task hubs on demand."
    assert refused.value.details() == f"{message} {hint}"


def test_each_task_hub_is_a_world_of_its_own() -> None:
    with (
        Emulator(task_hubs=["blue", "green"]) as emulator,
        worker_of(emulator, greeting, task_hub="green"),
        new_client(emulator, "blue") as blue,
        new_client(emulator, "green") as green,
    ):
        blue.schedule_new_orchestration(greeting, input="blue", instance_id="same")
        assert run(green, greeting, input="green", instance_id="same") == "Hello, green!"
        with pytest.raises(TimeoutError):
            blue.wait_for_orchestration_start("same", timeout=0.3)
        green.purge_orchestration("same")
        assert blue.get_orchestration_state("same") is not None


# Starting and stopping


def test_it_starts_in_a_moment() -> None:
    """Half a second is promised; the first of three attempts may have to import things."""
    durations = []
    for _ in range(3):
        begin = time.monotonic()
        with Emulator():
            durations.append(time.monotonic() - begin)
    assert min(durations) < 0.5


def health_of(emulator: Emulator) -> int:
    try:
        with urllib.request.urlopen(f"{emulator.dashboard_url}/healthz", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_it_is_healthy_from_when_grpc_serves_until_it_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    health: list[int] = []
    emulator = Emulator(dashboard_port=0)
    build_server = server_module.build_server

    def build(*arguments: Any, **options: Any) -> grpc.Server:
        health.append(health_of(emulator))
        return build_server(*arguments, **options)

    monkeypatch.setattr(server_module, "build_server", build)
    with emulator:
        health.append(health_of(emulator))
        hub = emulator.hubs["default"]
        close_hub = hub.close

        def close() -> None:
            health.append(health_of(emulator))
            close_hub()

        monkeypatch.setattr(hub, "close", close)
    assert health == [503, 200, 503]


def test_it_stops_at_once_while_clients_wait_and_a_worker_listens() -> None:
    codes: list[grpc.StatusCode] = []
    with Emulator() as emulator, program_of(emulator, waiting) as client:
        instance_id = client.schedule_new_orchestration(waiting)
        client.wait_for_orchestration_start(instance_id)

        def wait() -> None:
            with pytest.raises(grpc.RpcError) as ended:
                client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE_SECONDS)
            codes.append(ended.value.code())

        waits = [threading.Thread(target=wait) for _ in range(20)]
        for thread in waits:
            thread.start()
        hub = emulator.hubs["default"]
        wait_until(lambda: len(hub.waiters) == 20, "all wait")
        begin = time.monotonic()
        emulator.stop()
        assert time.monotonic() - begin < 3
        for thread in waits:
            thread.join(PATIENCE_SECONDS)
    assert set(codes) == {grpc.StatusCode.UNAVAILABLE}
    assert len(codes) == 20


def test_stopping_ends_its_threads() -> None:
    before = set(threading.enumerate())
    with Emulator(dashboard_port=0) as emulator, new_client(emulator) as client:
        client.schedule_new_orchestration(greeting)
    ours = ("grpc", "timers", "web")

    def left() -> list[str]:
        new = set(threading.enumerate()) - before
        return [thread.name for thread in new if thread.name.startswith(ours)]

    wait_until(lambda: not left(), "no thread of the emulator is left")


def test_stopping_twice_or_without_a_start_does_no_harm() -> None:
    emulator = Emulator()
    emulator.stop()
    with emulator:
        emulator.stop()
    assert emulator.state == "stopped"


def test_starting_twice_is_an_error_that_leaves_the_first_start_alone(emulator: Emulator) -> None:
    with pytest.raises(RuntimeError, match="is ready"):
        emulator.start()
    with program_of(emulator, greeting) as client:
        assert run(client, greeting, input="still there") == "Hello, still there!"


def test_a_stopped_emulator_starts_again_on_its_port_and_has_forgotten_everything() -> None:
    emulator = Emulator()
    with emulator, program_of(emulator, greeting) as client:
        run(client, greeting, input="before")
    port = emulator.port
    with emulator, program_of(emulator, greeting) as client:
        assert emulator.port == port
        assert client.get_all_orchestration_states() == []
        assert run(client, greeting, input="after") == "Hello, after!"
