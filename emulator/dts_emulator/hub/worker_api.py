"""The API of a task hub's workers: streams of work items, completions, abandonments."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from queue import Empty
from weakref import WeakSet

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine import entities, instances, turns
from dts_emulator.engine.errors import InvalidError, UnavailableError
from dts_emulator.engine.events import SECOND, copy_fields, event
from dts_emulator.engine.failures import fail_activity, fail_batch, fail_turn, failure, shorten
from dts_emulator.engine.model import Activity, Instance
from dts_emulator.hub.leases import Kind, WorkerStream, WorkItem
from dts_emulator.hub.limits import oversized
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.hub.work_items import TurnTooLargeError, WorkItemBuilder

logger = logging.getLogger("emulator")

# SDK workers consider a stream dead that is silent for 60 s (.NET) or 120 s (Python).
HEALTH_PING_SECONDS = 30.0

# The number of abandonments of an item that are logged. The SDK for Python abandons an item again
# and again if the text of its error cannot be sent, because it is invalid Unicode for example.
MANY_ABANDONMENTS = 5

# The time between two attempts to save what a worker waits for.
RETRY_SECONDS = 0.2


class Workers:
    """Leases work items of one task hub to workers and accepts one completion of each."""

    def __init__(self, hub: TaskHub) -> None:
        self._hub = hub
        self._builder = WorkItemBuilder(hub.store, hub.now)
        self._known_as_silent: WeakSet[Instance] = WeakSet()

    # Streams

    def connect(self, stream: WorkerStream) -> Iterator[pb.WorkItem]:
        """Connect a worker's stream, and yield its messages until it is closed."""
        with self._hub.lock:
            if self._hub.is_closed or stream.has_gone:
                return
            stream.record.connected_at = self._seconds()
            self._hub.leases.connect(stream)
        logger.info("A worker has connected")
        yield from iter(partial(self._next_message, stream), None)

    def disconnect(self, stream: WorkerStream) -> None:
        """End a worker's stream and reassign its work."""
        with self._hub.lock:
            if not self._hub.end_stream(stream):
                return
        logger.info("A worker has disconnected")

    def _next_message(self, stream: WorkerStream) -> pb.WorkItem | None:
        """Wait for the worker's next message; return None at the end of its stream."""
        while True:
            try:
                item = stream.outbox.get(timeout=HEALTH_PING_SECONDS)
            except Empty:
                return pb.WorkItem(healthPing=pb.HealthPing())
            if item is None:
                return None
            with self._hub.lock:
                message = self.message_of(item, stream) if item.holder is stream else None
            if message is not None:
                return message if self._wait_until_saved(item.change, stream) else None
            del item  # It may be the last reference to a purged instance.

    def message_of(self, item: WorkItem, stream: WorkerStream) -> pb.WorkItem | None:
        """Return the message of an item that a stream holds, under the lock.

        None if its subject no longer needs a worker: then the item is removed.
        """
        item.dispatched_at = self._seconds()
        if item.kind is not Kind.ACTIVITY:
            item.change = self._hub.store.last_change(str(item.subject))
        try:
            message = self._builder.build(item, stream)
        except TurnTooLargeError as error:
            fail = instances.fail_without_worker
            self._hub.change(error.instance, fail, "TurnTooLarge", str(error))
            return None
        if message is None:
            self._hub.remove_work_item(item)
        return message

    def _wait_until_saved(self, change: int, stream: WorkerStream) -> bool:
        """Wait until a change is saved: a worker must not act on a state that a crash undoes.

        Return False if the stream, or the emulator, ends first.
        """
        while not (self._hub.store.is_saved(change) or stream.has_gone or self._hub.is_closed):
            try:
                self._hub.store.flush(change)
            except UnavailableError:
                time.sleep(RETRY_SECONDS)
        return self._hub.store.is_saved(change)

    # Completions: validated first, then applied. Late and duplicate ones are ignored.

    def complete_turn(self, answer: pb.OrchestratorResponse) -> None:
        """Accept the answer to an orchestrator's turn, or a chunk of it.

        Raises:
            InvalidError: it does not match the work item of its completion token.
        """
        with self._hub.lock:
            item = self._find(answer.completionToken, Kind.ORCHESTRATOR)
            instance = self._hub.store.instance(str(item.subject)) if item is not None else None
            if item is None or instance is None:
                return
            turns.check(answer, instance)
            if answer.requiresHistory:
                self.abandon(answer.completionToken)
                return
            whole = turns.add_chunk(instance.turn, answer)
            if whole is None:
                return
            if self._hub.check_determinism and turns.keep_first_answer(instance, whole):
                self._hub.repeat_turn(item)
                return
            turns.compare_runs(instance, whole)
            problem = oversized(whole, self._hub.max_payload_bytes)
            if problem:
                fail_turn(whole, _too_large(problem))
            self._hub.complete_work_item(item)
            self._hub.change(instance, turns.settle, whole)
            if not whole.actions:
                self._warn_of_silence(instance)

    def complete_activity(self, answer: pb.ActivityResponse) -> None:
        """Accept an activity's result.

        Raises:
            InvalidError: it does not match the work item of its completion token.
        """
        with self._hub.lock:
            item = self._find(answer.completionToken, Kind.ACTIVITY)
            if item is None:
                return
            assert isinstance(item.subject, Activity)
            asked, instance_id = item.subject.scheduled, item.subject.instance_id
            if (answer.instanceId, answer.taskId) != (instance_id, asked.eventId):
                raise InvalidError(
                    f"The activity is task {asked.eventId} of '{instance_id}', "
                    f"not task {answer.taskId} of '{answer.instanceId}'."
                )
            if answer.HasField("failureDetails"):
                shorten(answer.failureDetails)
            problem = oversized(answer, self._hub.max_payload_bytes)
            if problem:
                fail_activity(answer, _too_large(f"Activity '{item.name}': {problem}"))
            self._hub.complete_work_item(item)
            instance = self._hub.store.instance(instance_id)
            if instance is not None and instance.pending_tasks.get(asked.eventId) is asked:
                news = _activity_ended(answer, self._hub.now())
                self._hub.change(instance, instances.answer, asked.eventId, news)

    def complete_batch(self, answer: pb.EntityBatchResult) -> None:
        """Accept the results of an entity's operations, and its new state.

        A worker that reports a failure of the batch has run nothing: it is offered again.

        Raises:
            InvalidError: it does not match the work item of its completion token.
        """
        with self._hub.lock:
            item = self._find(answer.completionToken, Kind.ENTITY)
            entity = self._hub.store.entity(str(item.subject)) if item is not None else None
            if item is None or entity is None:
                return
            if answer.HasField("failureDetails") or answer.requiresState or not answer.results:
                self.abandon(answer.completionToken)
                return
            problem = oversized(answer, self._hub.max_payload_bytes)
            if problem:
                fail_batch(answer, entity.state, _too_large(problem))
            self._hub.complete_work_item(item)
            self._hub.change_entity(entity.entity_id, entities.settle, answer)

    def _warn_of_silence(self, instance: Instance) -> None:
        """Warn once of an instance that only an external event can wake."""
        if instances.has_no_pending_task(instance) and instance not in self._known_as_silent:
            self._known_as_silent.add(instance)
            logger.warning(
                "Orchestration '%s' has no pending task: only an external event can wake this "
                "instance; if it is not waiting for one, its code no longer matches its history",
                instance.instance_id,
            )

    def abandon(self, token: str) -> None:
        """Requeue a work item that its worker abandons."""
        with self._hub.lock:
            item = self._hub.leases.find(token)
            before = item.abandoned if item is not None else 0
            self._hub.abandon_work_item(token)
            if item is not None and before < MANY_ABANDONMENTS == item.abandoned:
                logger.warning(
                    "Workers have abandoned the %s %a %s times and get it again every second. "
                    "See their logs: they may not accept its version, or cannot send its error.",
                    item.kind.value,
                    item.name,
                    item.abandoned,
                )

    def _find(self, token: str, kind: Kind) -> WorkItem | None:
        item = self._hub.find_work_item(token, kind)
        if item is None:
            logger.debug("Ignored a late or duplicate completion: %a", token)
        return item

    def _seconds(self) -> float:
        return self._hub.now() / SECOND


def worker_stream_from(request: pb.GetWorkItemsRequest, peer: str = "") -> WorkerStream:
    """Return the stream of a worker, with the filters and limits of its request (0: unlimited)."""
    return WorkerStream(
        limits={
            Kind.ORCHESTRATOR: request.maxConcurrentOrchestrationWorkItems or sys.maxsize,
            Kind.ACTIVITY: request.maxConcurrentActivityWorkItems or sys.maxsize,
            Kind.ENTITY: request.maxConcurrentEntityWorkItems or sys.maxsize,
        },
        accepts=_accepts(request),
        streams_history=pb.WORKER_CAPABILITY_HISTORY_STREAMING in request.capabilities,
        names=_names(request),
        peer=peer,
    )


def _names(request: pb.GetWorkItemsRequest) -> dict[Kind, list[str]] | None:
    """Return the names in the worker's filters, None if it has no filters."""
    if not request.HasField("workItemFilters"):
        return None
    filters = request.workItemFilters
    return {
        Kind.ORCHESTRATOR: [one.name for one in filters.orchestrations],
        Kind.ACTIVITY: [one.name for one in filters.activities],
        Kind.ENTITY: [one.name for one in filters.entities],
    }


def _accepts(request: pb.GetWorkItemsRequest) -> Callable[[Kind, str, str], bool]:
    """Return the worker's filters as one function.

    Without filters it accepts everything; with filters, of each kind only the listed names, in
    the listed versions, or in any version if none is listed.
    """
    if not request.HasField("workItemFilters"):
        return lambda _kind, _name, _version: True
    filters = request.workItemFilters
    versions: dict[tuple[Kind, str], set[str]] = {}
    for kind, listed in (
        (Kind.ORCHESTRATOR, filters.orchestrations),
        (Kind.ACTIVITY, filters.activities),
    ):
        for one in listed:
            versions.setdefault((kind, one.name), set()).update(one.versions)
    for entity in filters.entities:
        versions[Kind.ENTITY, entity.name] = set()

    def accepts(kind: Kind, name: str, version: str) -> bool:
        wanted = versions.get((kind, name))
        return wanted is not None and (not wanted or version in wanted)

    return accepts


def _activity_ended(answer: pb.ActivityResponse, now: int) -> pb.HistoryEvent:
    if answer.HasField("failureDetails"):
        failed = pb.TaskFailedEvent(
            taskScheduledId=answer.taskId, failureDetails=answer.failureDetails
        )
        return event(now, taskFailed=failed)
    completed = pb.TaskCompletedEvent(taskScheduledId=answer.taskId)
    copy_fields(answer, completed, "result")
    return event(now, taskCompleted=completed)


def _too_large(problem: str) -> pb.TaskFailureDetails:
    return failure("PayloadTooLarge", problem)
