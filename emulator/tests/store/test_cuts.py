"""Whenever the emulator is killed: what is on disk is a state that it was in, and goes on from."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from durabletask.internal import orchestrator_service_pb2 as pb
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dts_emulator.engine.errors import ExistsError, NotFoundError
from dts_emulator.engine.events import SECOND, timestamp
from dts_emulator.engine.model import Activity, Instance, Timer
from dts_emulator.hub.leases import Kind
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.store import Filter, Store
from dts_emulator.store.file import StateFile
from dts_emulator.store.sqlite import SqliteStore
from tests.simulation import Simulation, check
from tests.store.things import contents

IDS = st.sampled_from(["a", "b"])
ENTITY = "@e@k"

State = dict[str, Any]


class Noting:
    """A store that notes the IDs of all instances that it has ever had."""

    def __init__(self, store: SqliteStore, ids: set[str]) -> None:
        self._store = store
        self._ids = ids

    def put(self, instance: Instance) -> None:
        self._ids.add(instance.instance_id)
        self._store.put(instance)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Cuts(RuleBasedStateMachine):
    """A task hub in a file, copied after every step as `kill -9` would leave it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state.db"
        self.file = StateFile(self.path)
        store = self.file.store("hub")
        self.ids: set[str] = set()
        self.simulation = Simulation(cast(Store, Noting(store, self.ids)))
        self.simulation.connect()
        # The states since the last one that is on disk for certain.
        self.states: list[State] = []
        self.watching = sqlite3.connect(self.path)
        self.version: object = None

    @rule(instance_id=IDS)
    def start(self, instance_id: str) -> None:
        with suppress(ExistsError):
            self.simulation.start(instance_id)
            self._is_kept()

    @rule(later=st.booleans())
    def signal(self, later: bool) -> None:
        due = self.simulation.time + 2 * SECOND if later else None
        request = pb.SignalEntityRequest(instanceId=ENTITY, name="add")
        if due is not None:
            request.scheduledTime.CopyFrom(timestamp(due))
        self.simulation.clients.signal(ENTITY, request, due)
        self._is_kept()

    @rule(
        instance_id=IDS,
        action=st.sampled_from(["suspend", "resume", "terminate", "purge", "restart"]),
    )
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
                case "restart":
                    clients.restart(instance_id, with_new_id=True)
            self._is_kept()

    @rule()
    def receive(self) -> None:
        self.simulation.receive(self.simulation.connected[0])

    @precondition(lambda self: self.simulation.connected[0].held)
    @rule(index=st.integers(min_value=0, max_value=20))
    def answer(self, index: int) -> None:
        held = self.simulation.connected[0].held
        self.simulation.answer(held.pop(index % len(held)))

    @precondition(lambda self: self.simulation.connected[0].held)
    @rule()
    def crash(self) -> None:
        self.simulation.crash(self.simulation.connected[0])
        self.simulation.connect()

    @rule(seconds=st.sampled_from([0.5, 4.0]))
    def pass_time(self, seconds: float) -> None:
        self.simulation.pass_time(seconds)

    @rule()
    def write(self) -> None:
        self.simulation.hub.store.flush()
        self._is_kept()

    def _is_kept(self) -> None:
        """Take note that the file holds no state before the present one."""
        self.states = []

    @invariant()
    def the_file_holds_a_state_that_the_hub_was_in(self) -> None:
        self.states.append(state_of(self.simulation.hub, self.ids))
        version = self.watching.execute("PRAGMA data_version").fetchone()
        if version == self.version:
            return  # No transaction since.
        self.version = version
        cut = Path(self.folder.name) / "cut.db"
        copy(self.path, cut)
        file = StateFile(cut)
        again = Simulation(file.store("hub"), self.simulation.time)
        try:
            found = state_of(again.hub, self.ids)
            assert found in self.states
            self.states = self.states[self.states.index(found) :]
        finally:
            again.hub.close()
            file.close()

    def teardown(self) -> None:
        """Go on from what is on disk, to the end."""
        cut = Path(self.folder.name) / "last.db"
        copy(self.path, cut)
        self.simulation.hub.close()
        self.watching.close()
        self.file.close()
        file = StateFile(cut)
        again = Simulation(file.store("hub"), self.simulation.time)
        try:
            for name in ("a", "b"):
                with suppress(NotFoundError):
                    again.clients.resume(name, None)
            again.run_to_the_end()
            for history in again.histories():
                check(history)
            left = [i for i in again.hub.store.newest(Filter(), 0, 1000)[0] if not i.has_ended]
            assert left == []
            assert list(again.hub.leases.items()) == []
        finally:
            again.hub.close()
            file.close()
            self.folder.cleanup()


def copy(path: Path, target: Path) -> None:
    """Copy what has been committed: what a process finds after another was killed."""
    target.unlink(missing_ok=True)
    with sqlite3.connect(path) as source, sqlite3.connect(target) as destination:
        source.backup(destination)
    source.close()
    destination.close()


def state_of(hub: TaskHub, ids: set[str]) -> State:
    """Return all that a task hub knows and owes, in a form that can be compared."""
    with hub.lock:
        instances = [one for i in sorted(ids) if (one := hub.store.instance(i)) is not None]
        entity = hub.store.entity(ENTITY)
        return {
            "instances": [contents(one) for one in instances],
            "entity": contents(entity) if entity is not None else None,
            "timers": sorted(
                (timer.due, timer.target, timer.event.SerializeToString())
                for timer in hub.timers
                if isinstance(timer, Timer)
            ),
            "turns": sorted(offered(hub, Kind.ORCHESTRATOR)),
            "batches": sorted(offered(hub, Kind.ENTITY)),
            "activities": sorted(activities(hub)),
        }


def offered(hub: TaskHub, kind: Kind) -> Iterator[str]:
    """Yield the instances, or the entities, for which workers have work or may have it."""
    return (str(item.subject) for item in hub.leases.items() if item.kind is kind)


def activities(hub: TaskHub) -> Iterator[tuple[str, int]]:
    """Yield the activities that workers have, or may have, and that are of use."""
    for item in hub.leases.items():
        if item.is_withdrawn or not isinstance(item.subject, Activity):
            continue
        if hub.store.instance(item.subject.instance_id) is not None:
            yield item.subject.instance_id, item.subject.scheduled.eventId


Cuts.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestCuts = Cuts.TestCase
