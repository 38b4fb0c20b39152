"""Emulator, workers and clients are killed again and again; each scheduled run is done once.

`make chaos SECONDS=60` runs it for longer.
"""

from __future__ import annotations

import random
import re
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from durabletask.client import OrchestrationQuery

from tests.processes import Program, running
from tests.sample import connect
from tests.test_recovery import assert_every_item_counts_once

WORKERS = 3
CLIENTS = 2

# How long the emulator runs, and the pause before another program is killed.
EMULATOR_SECONDS = (1.0, 3.5)
PAUSE_SECONDS = (0.1, 0.6)

# A kill of the emulator for so many seconds is the least; a busy machine takes longer instead.
SECONDS_PER_KILL = 6


class Chaos:
    """Programs that are started again after they have ended."""

    def __init__(self, path: Path, port: int, stack: ExitStack) -> None:
        self._stack = stack
        ports = ("--port", str(port), "--dashboard-port", "0")
        self._emulator = ("-m", "dts_emulator", *ports, "--db-file", str(path))
        self.endpoint = f"http://localhost:{port}"
        self.emulator = self._start(*self._emulator)
        self.workers = [self._start("worker.py") for _ in range(WORKERS)]
        self.clients = [self._start_client() for _ in range(CLIENTS)]
        self.emulators_killed = 0
        # The logs of clients that have ended.
        self._logs = ""

    def _start(self, *arguments: str) -> Program:
        return self._stack.enter_context(running(*arguments, ENDPOINT=self.endpoint))

    def _start_client(self) -> Program:
        return self._start("client.py", str(random.randint(1, 12)), "--timeout", "300")

    def kill_emulator(self) -> None:
        """Kill the emulator while it works, and start it again."""
        self.emulator.wait_for_line("Task hubs")
        time.sleep(random.uniform(*EMULATOR_SECONDS))  # The pace of the accidents.
        self.emulator.kill()
        self.emulators_killed += 1
        self.emulator = self._start(*self._emulator)

    def kill_another(self) -> None:
        """Kill a worker or a client."""
        programs = random.choice([self.workers, self.clients])
        programs[random.randrange(len(programs))].kill()

    def restart_ended(self) -> None:
        """Start a worker or a client for each that has ended."""
        self.workers = [
            each if each.is_running else self._start("worker.py") for each in self.workers
        ]
        for number, client in enumerate(self.clients):
            if not client.is_running:
                self._logs += client.stderr
                self.clients[number] = self._start_client()

    def acknowledged(self) -> set[str]:
        """Return the IDs of all instances whose start a client has acknowledged."""
        logs = self._logs + "".join(client.stderr for client in self.clients)
        return set(re.findall(r"Started orchestration with ID = (\w+)", logs))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_or_done_twice_whatever_is_killed(
    tmp_path: Path, free_port: int, request: pytest.FixtureRequest
) -> None:
    seconds: float = request.config.getoption("--chaos-seconds")
    with ExitStack() as stack:
        programs = Chaos(tmp_path / "chaos.db", free_port, stack)
        end = time.monotonic() + seconds
        while time.monotonic() < end or programs.emulators_killed < seconds / SECONDS_PER_KILL:
            programs.kill_emulator()
            for _ in range(random.randint(1, 3)):
                time.sleep(random.uniform(*PAUSE_SECONDS))  # The pace of the accidents.
                programs.kill_another()
                programs.restart_ended()
        programs.emulator.wait_for_line("Task hubs")
        for waiting in programs.clients:
            waiting.kill()
        with connect(programs.endpoint) as client:
            query = OrchestrationQuery(fetch_inputs_and_outputs=True)
            states = client.get_all_orchestration_states(query)
            for state in states:
                items = len(state.get_input() or [])
                assert_every_item_counts_once(client, state.instance_id, items)
        assert {state.instance_id for state in states} >= programs.acknowledged()
        assert len(states) >= programs.emulators_killed / 2
    print(f"{programs.emulators_killed} emulators killed, {len(states)} instances")  # noqa: T201
