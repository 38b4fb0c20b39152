"""What worker and client do when their scheduler, an emulator process, stops and starts again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import endpoint_of
from tests.processes import Program, run, running, wait_until

OUTAGE_SECONDS = 20
RECONNECT_SECONDS = 10.0


@contextmanager
def emulator_at(port: int) -> Iterator[Program]:
    """Run an emulator on a port (0 = any) from when it is ready."""
    with running("-m", "dts_emulator", "--port", str(port), "--dashboard-port", "0") as emulator:
        emulator.wait_for_line("Task hubs")
        yield emulator


def port_of(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


@pytest.mark.slow
def test_a_worker_reconnects_within_10_seconds_of_its_schedulers_return_and_goes_on() -> None:
    with emulator_at(0) as emulator:
        endpoint = endpoint_of(emulator)
        with running("worker.py", ENDPOINT=endpoint) as worker:
            worker.wait_for_line("Successfully connected")
            emulator.stop()
            worker.wait_for_line("No scheduler answers")
            time.sleep(OUTAGE_SECONDS)
            connections = worker.stderr.count("Successfully connected")
            with emulator_at(port_of(endpoint)):
                wait_until(
                    lambda: worker.stderr.count("Successfully connected") > connections,
                    "the worker is connected again",
                    RECONNECT_SECONDS,
                )
                client = run("client.py", ENDPOINT=endpoint)
            assert json.loads(client.stdout)["sum"] == 385
            assert "Traceback" not in worker.stderr


def test_a_waiting_client_says_that_an_emulator_which_started_again_has_forgotten_its_work() -> (
    None
):
    with emulator_at(0) as emulator:
        endpoint = endpoint_of(emulator)
        with running("client.py", ENDPOINT=endpoint) as client:
            client.wait_for_line("Waiting for orchestration")
            emulator.kill()
            client.wait_for_line("No scheduler answers yet")
            with emulator_at(port_of(endpoint)):
                finished = client.finish()
    assert finished.status == 4
    assert "Lost the connection to the scheduler" in finished.stderr
    assert "start the client again" in finished.stderr.splitlines()[-1]


def test_a_client_that_waits_for_a_scheduler_which_stays_away_keeps_to_its_timeout() -> None:
    with emulator_at(0) as emulator:
        arguments = ["client.py", "--timeout", "8", "--instance-id", "mine"]
        with running(*arguments, ENDPOINT=endpoint_of(emulator)) as client:
            client.wait_for_line("Waiting for orchestration")
            emulator.kill()
            killed = time.monotonic()
            finished = client.finish()
    assert 4 < time.monotonic() - killed < 20
    assert finished.status == 4
    assert "python client.py --attach mine" in finished.stderr.splitlines()[-1]
