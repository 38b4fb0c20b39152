"""The emulator is killed again and again; whatever a client was told stays so.

`make chaos SECONDS=60` lets it go on for longer than `make test` does.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.model import ENDED
from tests.actions import completion
from tests.processes import PATIENCE_SECONDS, running
from tests.wire import Wire

CLIENTS = 3
ENTITIES = [f"@counter@{number}" for number in range(3)]

# How long an emulator lives once it is ready; then it is killed at the next news, or without.
EMULATOR_SECONDS = (0.1, 1.2)
NEWS_SECONDS = 0.5

# A client looks at instances that it has started of late, more often than at older ones.
LATELY = 10

QUIET_CALLS = (
    "GetInstance",
    "WaitForInstanceStart",
    "WaitForInstanceCompletion",
    "history",
    "entity",
)
ALL_CALLS = (*QUIET_CALLS, "start", "start", "query")
RETRY_SECONDS = 0.05
OPTIONS = {
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.min_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 100,
    "grpc.use_local_subchannel_pool": 1,
}


@dataclass
class Told:
    """What clients have been told, of each subject what tells the most.

    `results` are those of activities that a worker has been told. `news` is set when a client has
    been told of an end, or of a count, that none knew. While `is_quiet` is set, clients only ask,
    so that nothing makes the emulator write but that.
    """

    instances: dict[str, pb.OrchestrationState] = field(default_factory=dict)
    histories: dict[str, list[bytes]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    answers: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    broken: list[str] = field(default_factory=list)
    news: threading.Event = field(default_factory=threading.Event)
    is_quiet: threading.Event = field(default_factory=threading.Event)

    def snapshot(self) -> Told:
        """Return what has been told before a call is made."""
        with self.lock:
            return Told(dict(self.instances), dict(self.histories), dict(self.counters))

    def hear_instance(self, before: Told, state: pb.OrchestrationState) -> None:
        """Compare what is told of an instance with what was told before, and remember it."""
        known = before.instances.get(state.instanceId)
        if known is not None and not _follows(state, known):
            self._note(f"was told\n{known}\nthen\n{state}")
        with self.lock:
            self.answers += 1
            latest = self.instances.get(state.instanceId)
            if latest is None or _follows(state, latest):
                self.instances[state.instanceId] = state
                if latest is not None and _rank(state) > _rank(latest):
                    self.news.set()

    def hear_history(self, before: Told, instance_id: str, events: list[bytes]) -> None:
        """Compare a history with what was told of it before: it only grows."""
        known = before.histories.get(instance_id, [])
        if events[: len(known)] != known:
            self._note(f"the history of {instance_id} has changed")
        with self.lock:
            self.answers += 1
            if len(events) > len(self.histories.get(instance_id, [])):
                self.histories[instance_id] = events

    def hear_counter(self, before: Told, entity_id: str, count: int) -> None:
        """Compare an entity's count with what was told of it before: it only grows."""
        if count < before.counters.get(entity_id, 0):
            self._note(f"{entity_id} was {before.counters[entity_id]}, then {count}")
        with self.lock:
            self.answers += 1
            if count > self.counters.get(entity_id, 0):
                self.counters[entity_id] = count
                self.news.set()

    def hear_result(self, instance_id: str, result: str) -> None:
        """Compare what a worker is told of an activity's result with what it was told before."""
        with self.lock:
            known = self.results.setdefault(instance_id, result)
        if result != known:
            self._note(f"the activity of {instance_id} had the result {known}, then {result}")

    def miss(self, before: Told, instance_id: str) -> None:
        """Take note that an instance is said not to exist."""
        if instance_id in before.instances:
            self._note(f"{instance_id} does not exist any more")

    def _note(self, problem: str) -> None:
        with self.lock:
            self.broken.append(problem)


def _follows(state: pb.OrchestrationState, known: pb.OrchestrationState) -> bool:
    """Return whether a state may come after another one, or is the same."""
    if known.orchestrationStatus in ENDED:
        return state == known
    return _time(state) >= _time(known) and _rank(state) >= _rank(known)


def _rank(state: pb.OrchestrationState) -> int:
    if state.orchestrationStatus in ENDED:
        return 2
    return int(state.orchestrationStatus != pb.ORCHESTRATION_STATUS_PENDING)


def _time(state: pb.OrchestrationState) -> int:
    return int(state.lastUpdatedTimestamp.ToNanoseconds())


class Client:
    """Starts orchestrations, signals entities, and asks for both in every way there is."""

    def __init__(self, wire: Wire, told: Told, timeout: float = 5) -> None:
        self._wire = wire
        self._told = told
        self._timeout = timeout
        self._ids: list[str] = []

    def go_on(self, is_over: threading.Event) -> None:
        """Call until it is over; a call that the emulator does not answer tells nothing."""
        while not is_over.is_set():
            try:
                self._call()
            except (grpc.RpcError, ValueError):  # ValueError: the channel is closed, it is over.
                time.sleep(RETRY_SECONDS)  # No emulator takes calls for a while.

    def _call(self) -> None:
        calls = QUIET_CALLS if self._told.is_quiet.is_set() else ALL_CALLS
        what = random.choice(calls) if self._ids else "start"
        lately = self._ids[-LATELY:] if random.random() < 0.8 else self._ids
        instance_id = random.choice(lately or [""])
        match what:
            case "start":
                self.start()
            case "query":
                self.query()
            case "entity":
                self.entity(random.choice(ENTITIES))
            case "history":
                self.history(instance_id)
            case _:
                self.ask(what, instance_id)

    def start(self) -> None:
        """Start an orchestration and signal an entity."""
        instance_id = uuid.uuid4().hex
        request = pb.CreateInstanceRequest(instanceId=instance_id, name="o")
        self._wire.call("StartInstance", request, timeout=self._timeout)
        self._ids.append(instance_id)
        state = pb.OrchestrationState(instanceId=instance_id)
        state.orchestrationStatus = pb.ORCHESTRATION_STATUS_PENDING
        self._told.hear_instance(Told(), state)
        self._wire.call(
            "SignalEntity",
            pb.SignalEntityRequest(instanceId=random.choice(ENTITIES), name="add"),
            timeout=self._timeout,
        )

    def ask(self, rpc: str, instance_id: str) -> None:
        """Ask for an instance, now or once it has started or ended."""
        before = self._told.snapshot()
        request = pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True)
        response = self._wire.call(rpc, request, timeout=2)
        if response.exists:
            self._told.hear_instance(before, response.orchestrationState)
        else:
            self._told.miss(before, instance_id)

    def query(self) -> None:
        """Ask for all instances."""
        before = self._told.snapshot()
        query = pb.InstanceQuery(fetchInputsAndOutputs=True)
        found: set[str] = set()
        while True:
            request = pb.QueryInstancesRequest(query=query)
            page = self._wire.call("QueryInstances", request, timeout=self._timeout)
            for state in page.orchestrationState:
                found.add(state.instanceId)
                self._told.hear_instance(before, state)
            query.continuationToken.CopyFrom(page.continuationToken)
            if not page.continuationToken.value:
                break
        for instance_id in before.instances.keys() - found:
            self._told.miss(before, instance_id)

    def history(self, instance_id: str) -> None:
        """Ask for an instance's history."""
        before = self._told.snapshot()
        request = pb.StreamInstanceHistoryRequest(instanceId=instance_id)
        chunks = self._wire.call("StreamInstanceHistory", request, timeout=self._timeout)
        events = [event.SerializeToString() for chunk in chunks for event in chunk.events]
        self._told.hear_history(before, instance_id, events)

    def entity(self, entity_id: str) -> None:
        """Ask for an entity's count."""
        before = self._told.snapshot()
        request = pb.GetEntityRequest(instanceId=entity_id, includeState=True)
        response = self._wire.call("GetEntity", request, timeout=self._timeout)
        count = int(response.entity.serializedState.value) if response.exists else 0
        self._told.hear_counter(before, entity_id, count)


class Worker:
    """Does all that there is to do. What it does twice it does differently."""

    def __init__(self, wire: Wire, told: Told) -> None:
        self._wire = wire
        self._told = told

    def go_on(self, is_over: threading.Event) -> None:
        """Work until it is over, for each emulator that comes."""
        while not is_over.is_set():
            with suppress(grpc.RpcError, ValueError):  # ValueError: the channel is closed.
                for item in self._wire.stream("GetWorkItems", pb.GetWorkItemsRequest()):
                    self._do(item)
            time.sleep(RETRY_SECONDS)  # No emulator takes calls for a while.

    def _do(self, item: pb.WorkItem) -> None:
        match item.WhichOneof("request"):
            case "orchestratorRequest":
                self._wire.answer(item, *self._next_actions(item.orchestratorRequest))
            case "activityRequest":
                done = pb.ActivityResponse(
                    instanceId=item.activityRequest.orchestrationInstance.instanceId,
                    taskId=item.activityRequest.taskId,
                    completionToken=item.completionToken,
                    result={"value": f'"{uuid.uuid4().hex}"'},
                )
                self._wire.call("CompleteActivityTask", done)
            case "entityRequestV2":
                request = item.entityRequestV2
                count = int(request.entityState.value or 0) + len(request.operationRequests)
                results = [pb.OperationResult(success={}) for _ in request.operationRequests]
                batch = pb.EntityBatchResult(
                    completionToken=item.completionToken,
                    results=results,
                    entityState={"value": str(count)},
                )
                self._wire.call("CompleteEntityTask", batch)

    def _next_actions(self, request: pb.OrchestratorRequest) -> list[pb.OrchestratorAction]:
        events = [*request.pastEvents, *request.newEvents]
        for event in events:
            if event.HasField("taskCompleted"):
                self._told.hear_result(request.instanceId, event.taskCompleted.result.value)
        if any(event.HasField("taskCompleted") for event in events):
            return [completion(result=f'"{uuid.uuid4().hex}"')]
        if any(event.HasField("taskScheduled") for event in events):
            return []
        return [pb.OrchestratorAction(id=1, scheduleTask=pb.ScheduleTaskAction(name="a"))]


@contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[*OPTIONS.items()]) as channel:
        yield Wire(channel)


@contextmanager
def at_work(port: int, make: Callable[[Wire], Client | Worker]) -> Iterator[None]:
    """Run a client or a worker, on a connection of its own, for the length of a block."""
    is_over = threading.Event()
    with wire_to(port) as wire:
        thread = threading.Thread(target=make(wire).go_on, args=(is_over,))
        thread.start()
        try:
            yield
        finally:
            is_over.set()
    thread.join()  # The end of the connection ends the calls that are under way.


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whatever_a_client_was_told_is_so_after_every_kill(
    tmp_path: Path, free_port: int, request: pytest.FixtureRequest
) -> None:
    seconds: float = request.config.getoption("--chaos-seconds")
    ports = ("--port", str(free_port), "--dashboard-port", "0")
    emulator = ("-m", "dts_emulator", *ports, "--db-file", str(tmp_path / "told.db"))
    told, kills = Told(), 0
    with ExitStack() as stack:
        stack.enter_context(at_work(free_port, partial(Worker, told=told)))
        for _ in range(CLIENTS):
            stack.enter_context(at_work(free_port, partial(Client, told=told)))
        end = time.monotonic() + seconds
        while time.monotonic() < end and not told.broken:
            with running(*emulator) as program:
                program.wait_for_line("Task hubs")
                time.sleep(random.uniform(*EMULATOR_SECONDS))  # The life of this emulator.
                told.is_quiet.set()
                told.news.clear()
                told.news.wait(NEWS_SECONDS)
                program.kill()
                told.is_quiet.clear()
                kills += 1
    with running(*emulator) as program, wire_to(free_port) as wire:
        program.wait_for_line("Task hubs")
        check_all(wire, told)
    print(f"{kills} emulators killed, {told.answers} answers")  # noqa: T201
    assert not told.broken, "\n".join(told.broken)
    ends = sum(state.orchestrationStatus in ENDED for state in told.instances.values())
    assert ends >= kills
    assert told.counters


def check_all(wire: Wire, told: Told) -> None:
    """Ask for everything once more."""
    client = Client(wire, told, PATIENCE_SECONDS)
    client.query()
    for instance_id in told.histories:
        client.history(instance_id)
    for entity_id in told.counters:
        client.entity(entity_id)
