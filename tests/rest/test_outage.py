"""Worker and client when their scheduler, an emulator process, stops, hangs or starts again."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.processes import (
    emulator_process,
    lines_of_trouble,
    needs_signals,
    run,
    running,
    wait_until,
)

RECONNECT_SECONDS = 10.0

needs_posix = pytest.mark.skipif(os.name == "nt", reason="Windows ends no accept() from outside")


def port_of(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


@pytest.mark.slow
def test_a_worker_reconnects_within_10_seconds_and_its_outage_is_one_line_and_a_number() -> None:
    with (
        emulator_process() as (emulator, endpoint),
        running("worker.py", ENDPOINT=endpoint) as worker,
    ):
        worker.wait_for_line("Successfully connected")
        with running("client.py", "32", ENDPOINT=endpoint) as client:
            worker.wait_for_line("Processing work item: 32\n")
            emulator.kill()
            client.kill()
        worker.wait_for_line("No scheduler answers")
        time.sleep(20)  # The length of the outage: the pauses between attempts grow with it.
        connections = worker.stderr.count("Successfully connected")
        with emulator_process(port_of(endpoint)):
            wait_until(
                lambda: worker.stderr.count("Successfully connected") > connections,
                "the worker is connected again",
                RECONNECT_SECONDS,
            )
            client_after = run("client.py", ENDPOINT=endpoint)
        ended = worker.stop()
    assert json.loads(client_after.stdout)["sum"] == 385
    assert len(lines_of_trouble(ended)) <= 2, ended.stderr
    assert "similar omitted" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_client_whose_scheduler_restarts_without_its_state_learns_that_its_run_is_gone() -> None:
    with (
        emulator_process() as (emulator, endpoint),
        running("client.py", "--timeout", "10", ENDPOINT=endpoint) as client,
    ):
        client.wait_for_line("Waiting for orchestration")
        emulator.kill()
        client.wait_for_line("Lost the connection to")
        with emulator_process(port_of(endpoint)):
            finished = client.finish()
    assert finished.status == 4
    last = finished.stderr.splitlines()[-1]
    assert "no longer exists: it was purged, or the emulator restarted without --db-file." in last


def test_a_client_waits_for_a_scheduler_that_is_still_starting(free_port: int) -> None:
    endpoint = f"http://127.0.0.1:{free_port}"
    with running("client.py", "1", ENDPOINT=endpoint) as client:
        client.wait_for_line("No scheduler answers yet")
        with emulator_process(free_port), running("worker.py", ENDPOINT=endpoint):
            assert client.finish().stdout == '{"total_items": 1, "sum": 1, "average": 1.0}\n'


@needs_signals
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_client_that_waits_in_an_outage_keeps_to_its_timeout(how: signal.Signals) -> None:
    arguments = ("client.py", "--timeout", "6", "--instance-id", "mine")
    with (
        emulator_process() as (emulator, endpoint),
        running(*arguments, ENDPOINT=endpoint) as client,
    ):
        client.wait_for_line("Waiting for orchestration")
        emulator.send(how)
        begin = time.monotonic()
        finished = client.finish()
        assert time.monotonic() - begin < 20
        if how is signal.SIGSTOP:
            emulator.send(signal.SIGCONT)
    assert finished.status == 4
    assert finished.stderr.splitlines()[-1].endswith("python client.py --attach mine")


@pytest.fixture
def silent_endpoint() -> Iterator[str]:
    """Give the endpoint of a listener that accepts every connection and never answers."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    accepted.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    for connection in accepted:
        connection.close()


@needs_posix
def test_a_program_that_is_no_scheduler_ends_the_client_within_its_timeout(
    silent_endpoint: str,
) -> None:
    begin = time.monotonic()
    client = run("client.py", "--timeout", "3", ENDPOINT=silent_endpoint)
    assert time.monotonic() - begin < 15
    assert client.status == 4
    assert silent_endpoint in lines_of_trouble(client)[-1]
