"""Whatever comes when: no history is wrong, no work is lost, and nothing is left over."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dts_emulator.engine.errors import ExistsError, NotFoundError
from dts_emulator.store import Filter
from tests.simulation import Simulation, check

IDS = st.sampled_from(["a", "b"])
INDEX = st.integers(min_value=0, max_value=20)


class Interleavings(RuleBasedStateMachine):
    """Clients and workers that do anything in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.simulation = Simulation()
        self.simulation.connect()

    @rule(instance_id=IDS)
    def start(self, instance_id: str) -> None:
        with suppress(ExistsError):
            self.simulation.start(instance_id)

    @rule()
    def connect(self) -> None:
        self.simulation.connect()

    @precondition(lambda self: self.simulation.connected)
    @rule(index=INDEX)
    def receive(self, index: int) -> None:
        connected = self.simulation.connected
        self.simulation.receive(connected[index % len(connected)])

    @precondition(lambda self: any(w.held for w in self.simulation.connected))
    @rule(index=INDEX, twice=st.booleans())
    def answer(self, index: int, twice: bool) -> None:
        busy = [worker for worker in self.simulation.connected if worker.held]
        worker = busy[index % len(busy)]
        item = worker.held.pop(index % len(worker.held))
        self.simulation.answer(item)
        if twice:
            self.simulation.answer(item)

    @precondition(lambda self: any(w.held for w in self.simulation.connected))
    @rule(index=INDEX)
    def abandon(self, index: int) -> None:
        busy = [worker for worker in self.simulation.connected if worker.held]
        worker = busy[index % len(busy)]
        token = worker.held.pop(index % len(worker.held)).completionToken
        self.simulation.workers.abandon(token)

    @precondition(lambda self: self.simulation.connected)
    @rule(index=INDEX, answers_late=st.booleans(), seconds=st.sampled_from([1, 10]))
    def crash(self, index: int, answers_late: bool, seconds: int) -> None:
        connected = self.simulation.connected
        worker = connected[index % len(connected)]
        self.simulation.crash(worker)
        self.simulation.pass_time(seconds)
        if answers_late:
            for item in worker.held:
                self.simulation.answer(item)

    @rule(instance_id=IDS, action=st.sampled_from(["suspend", "resume", "terminate", "purge"]))
    def act(self, instance_id: str, action: str) -> None:
        clients = self.simulation.clients
        with suppress(NotFoundError):
            match action:
                case "suspend":
                    clients.suspend(instance_id, None)
                case "resume":
                    clients.resume(instance_id, None)
                case "terminate":
                    clients.terminate(instance_id, None, recurse=True)
                case "purge":
                    clients.purge([instance_id], recursive=True)

    @rule(seconds=st.sampled_from([0.5, 4.0]))
    def pass_time(self, seconds: float) -> None:
        self.simulation.pass_time(seconds)

    @invariant()
    def every_history_can_be_replayed(self) -> None:
        for history in self.simulation.histories():
            check(history)

    def teardown(self) -> None:
        self.simulation.run_to_the_end()
        for history in self.simulation.histories():
            check(history)
        hub = self.simulation.hub
        left = [i for i in hub.store.newest(Filter(), 0, 1000)[0] if not i.has_ended]
        assert left == []
        assert list(hub.leases.items()) == []
        assert len(hub.timers) == 0
        hub.close()


Interleavings.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestInterleavings = Interleavings.TestCase
