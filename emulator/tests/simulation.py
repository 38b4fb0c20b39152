"""A task hub with workers that are driven step by step, on a clock that is set by hand.

The workers run one orchestrator: three activities, a timer and a sub-orchestration in parallel,
then its end. It is a function of the history alone, as every orchestrator is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.events import SECOND, asks_key, event_type, key_of, timestamp
from dts_emulator.engine.reruns import replaceable_statuses
from dts_emulator.hub.client_api import Clients
from dts_emulator.hub.leases import WorkerStream
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.hub.worker_api import Workers, worker_stream_from
from dts_emulator.store import Filter, Store
from tests.processes import wait_until
from tests.streams import receive

START = 1_700_000_000 * SECOND
GRACE_SECONDS = 5.0
ACTIVITIES = (1, 2, 3)
TIMER, CHILD = 4, 5


@dataclass(eq=False)
class Worker:
    """A worker's stream, and what it has been sent and has not answered."""

    stream: WorkerStream = field(
        default_factory=lambda: worker_stream_from(pb.GetWorkItemsRequest())
    )
    held: list[pb.WorkItem] = field(default_factory=list)


class Simulation:
    """One task hub, a clock, and any number of workers that come and go."""

    def __init__(self, store: Store | None = None, time: int = START) -> None:
        self.time = time
        self.hub = TaskHub("hub", lease_grace=GRACE_SECONDS, store=store, clock=lambda: self.time)
        self.clients = Clients(self.hub)
        self.workers = Workers(self.hub)
        self.connected: list[Worker] = []

    def start(self, instance_id: str, policy: pb.OrchestrationIdReusePolicy | None = None) -> None:
        """Start the orchestration, in the place of one that has ended or that the policy names."""
        named = pb.OrchestrationInstance(instanceId=instance_id)
        started = pb.ExecutionStartedEvent(name="o", orchestrationInstance=named)
        request = pb.CreateInstanceRequest(orchestrationIdReusePolicy=policy)
        self.clients.start(started, None, replaceable_statuses(request))

    def connect(self) -> None:
        """Let a worker come."""
        worker = Worker()
        self.hub.leases.connect(worker.stream)
        self.connected.append(worker)

    def crash(self, worker: Worker) -> None:
        """Let a worker go with all that it holds; some of it it may have done."""
        self.connected.remove(worker)
        self.workers.disconnect(worker.stream)

    def pass_time(self, seconds: float) -> None:
        """Set the clock forward, and let what is due happen."""
        self.time += int(seconds * SECOND)
        self.hub.timers.wake()
        wait_until(self.hub.timers.is_idle, "all that is due has happened")

    def receive(self, worker: Worker) -> None:
        """Let a worker take what has been sent to it."""
        for item in receive(worker.stream):
            with self.hub.lock:
                message = self.workers.message_of(item, worker.stream)
            if message is not None:
                worker.held.append(message)

    def answer(self, item: pb.WorkItem) -> None:
        """Do what a work item asks for and answer, be it late or for the second time."""
        if item.HasField("activityRequest"):
            request = item.activityRequest
            self.workers.complete_activity(
                pb.ActivityResponse(
                    instanceId=request.orchestrationInstance.instanceId,
                    taskId=request.taskId,
                    completionToken=item.completionToken,
                )
            )
            return
        if item.HasField("entityRequestV2"):
            done = [pb.OperationResult() for _ in item.entityRequestV2.operationRequests]
            batch = pb.EntityBatchResult(results=done, completionToken=item.completionToken)
            batch.entityState.value = "1"
            self.workers.complete_batch(batch)
            return
        turn = item.orchestratorRequest
        self.workers.complete_turn(
            pb.OrchestratorResponse(
                instanceId=turn.instanceId,
                actions=orchestrate(turn, self.time),
                completionToken=item.completionToken,
            )
        )

    def run_to_the_end(self) -> None:
        """Let one good worker do all that is left, however long it takes."""
        for worker in list(self.connected):
            self.crash(worker)
        self.connect()
        for _ in range(200):
            self.pass_time(GRACE_SECONDS)
            self.receive(self.connected[0])
            if not self.connected[0].held and self.hub.timers.next_due() is None:
                return
            while self.connected[0].held:
                self.answer(self.connected[0].held.pop())
        raise AssertionError("The work has no end.")

    def histories(self) -> Iterator[list[pb.HistoryEvent]]:
        """Yield the history of every instance."""
        with self.hub.lock:
            for instance in self.hub.store.newest(Filter(), 0, 1000)[0]:
                yield [*instance.history]


def orchestrate(turn: pb.OrchestratorRequest, now: int) -> list[pb.OrchestratorAction]:
    """Return what the orchestrator asks for in a turn.

    Raises:
        AssertionError: the history cannot be replayed.
    """
    events = [*turn.pastEvents, *turn.newEvents]
    check(events)
    assert turn.newEvents, "A turn has something new."
    if any(item.HasField("executionTerminated") for item in turn.newEvents):
        return [ending(pb.ORCHESTRATION_STATUS_TERMINATED)]
    answered = {key_of(item) for item in events} - {None}
    if not any(asks_key(item) for item in turn.pastEvents):
        return list(requests(turn, now))
    if answered >= expected(turn.instanceId):
        return [ending(pb.ORCHESTRATION_STATUS_COMPLETED)]
    return []


def expected(instance_id: str) -> set[int]:
    """Return the numbers of the tasks; a sub-orchestration has no sub-orchestration."""
    return {*ACTIVITIES, TIMER} if "/" in instance_id else {*ACTIVITIES, TIMER, CHILD}


def requests(turn: pb.OrchestratorRequest, now: int) -> Iterator[pb.OrchestratorAction]:
    """Yield all that the orchestrator asks for at its start."""
    for task_id in ACTIVITIES:
        yield pb.OrchestratorAction(id=task_id, scheduleTask=pb.ScheduleTaskAction(name="a"))
    fire_at = timestamp(now + 3 * SECOND)
    yield pb.OrchestratorAction(id=TIMER, createTimer=pb.CreateTimerAction(fireAt=fire_at))
    if "/" not in turn.instanceId:
        child = pb.CreateSubOrchestrationAction(instanceId=f"{turn.executionId.value}/c", name="o")
        yield pb.OrchestratorAction(id=CHILD, createSubOrchestration=child)


def ending(status: pb.OrchestrationStatus) -> pb.OrchestratorAction:
    """Return the action that ends an orchestration."""
    action = pb.CompleteOrchestrationAction(orchestrationStatus=status)
    return pb.OrchestratorAction(id=-1, completeOrchestration=action)


def check(history: list[pb.HistoryEvent]) -> None:
    """Raise an AssertionError if a history cannot be replayed, or answers something twice."""
    if not history:
        return
    kinds = [event_type(item) for item in history]
    assert kinds.count("executionStarted") == 1
    assert kinds.count("executionCompleted") <= 1
    asked: set[int | str] = set()
    answered: set[int | str] = set()
    for item in history:
        if (key := asks_key(item)) is not None:
            assert key not in asked, f"{key} was asked for twice"
            asked.add(key)
        if (key := key_of(item)) is not None:
            assert key in asked, f"{key} was answered before it was asked for"
            assert key not in answered, f"{key} was answered twice"
            answered.add(key)
