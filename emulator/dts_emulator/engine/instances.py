"""The life of an orchestration instance between its turns: start, events, end."""

from __future__ import annotations

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.effects import (
    CancelTimers,
    CancelTurn,
    DeliverEvent,
    Effect,
    NotifyWaiters,
    OfferTurn,
    SetTimer,
    TerminateChildren,
    Unlock,
)
from dts_emulator.engine.events import event, event_type, optional_string, string_value, timestamp
from dts_emulator.engine.failures import failure, shorten, shorten_in
from dts_emulator.engine.ids import new_id
from dts_emulator.engine.model import Instance, Timer
from dts_emulator.engine.recovery import cancel_activities, orphan_activities
from dts_emulator.engine.step_counts import summarize


def create(
    started: pb.ExecutionStartedEvent, now: int, scheduled_start: int | None = None
) -> tuple[Instance, list[Effect]]:
    """Return a new instance, which starts immediately or at `scheduled_start`.

    `started` says what runs: the instance's ID, name, version, input, tags and parent. It gets
    the ID of a new execution.
    """
    start = started.orchestrationInstance
    start.executionId.value = new_id()
    instance = Instance(
        instance_id=start.instanceId,
        name=started.name,
        execution_id=start.executionId.value,
        created_at=now,
        updated_at=now,
        version=optional_string(started, "version"),
        input=optional_string(started, "input"),
        tags=dict(started.tags),
        scheduled_start=scheduled_start,
    )
    if started.HasField("parentInstance"):
        instance.parent_id = started.parentInstance.orchestrationInstance.instanceId
        instance.parent_task = started.parentInstance.taskScheduledId
    if scheduled_start is not None:
        started.scheduledStartTimestamp.CopyFrom(timestamp(scheduled_start))
    first = event(now, executionStarted=started)
    instance.inbox.append(first)
    if scheduled_start is not None and scheduled_start > now:
        instance.starts_at = scheduled_start
        return instance, [SetTimer(Timer(scheduled_start, instance.instance_id, first))]
    return instance, readiness(instance)


def readiness(instance: Instance) -> list[Effect]:
    """Offer a turn if there is anything for a worker to process now."""
    if instance.has_ended or instance.turn is not None or instance.starts_at is not None:
        return []
    if not (instance.inbox or instance.rewind or instance.owes_turn):
        return []
    return [OfferTurn(instance.instance_id)]


def has_no_pending_task(instance: Instance) -> bool:
    """Return whether a running instance has neither a pending task nor a pending turn.

    Its orchestrator waits for an external event, or its code no longer matches its history.
    """
    return (
        instance.status == pb.ORCHESTRATION_STATUS_RUNNING
        and bool(instance.history)
        and instance.turn is None
        and not instance.pending_tasks
        and not readiness(instance)
    )


def deliver(instance: Instance, news: pb.HistoryEvent, now: int) -> list[Effect]:
    """Add an event to the inbox. Of ended instances only a failed one keeps it, for a rewind."""
    if instance.has_ended:
        if instance.status == pb.ORCHESTRATION_STATUS_FAILED and _outlives_failure(news):
            instance.inbox.append(news)
        return []
    shorten_in(news)
    instance.inbox.append(news)
    instance.updated_at = now
    return readiness(instance)


def _outlives_failure(news: pb.HistoryEvent) -> bool:
    return not event_type(news).startswith("execution")


def answer(
    instance: Instance, key: int | str, news: pb.HistoryEvent, now: int, sender: str = ""
) -> list[Effect]:
    """Add the answer to a pending task to the inbox; drop an answer to anything else.

    `sender` is the ID of the sub-orchestration that answers.
    """
    asked = instance.pending_tasks.get(key)
    if asked is None or not _fits(asked, news, sender):
        return []
    del instance.pending_tasks[key]
    return deliver(instance, news, now)


def _fits(asked: pb.HistoryEvent, news: pb.HistoryEvent, sender: str) -> bool:
    """Reject an answer to an earlier execution, which numbered its tasks in the same way."""
    match event_type(asked):
        case "subOrchestrationInstanceCreated":
            return asked.subOrchestrationInstanceCreated.instanceId == sender
        case "timerCreated":
            return asked.timerCreated.fireAt == news.timerFired.fireAt
    return True


def fire(instance: Instance, due: pb.HistoryEvent, now: int) -> list[Effect]:
    """Process a due timer: the end of a wait, or the scheduled start."""
    if due.HasField("timerFired"):
        fired = event(now, timerFired=due.timerFired)
        return answer(instance, due.timerFired.timerId, fired, now)
    if instance.starts_at is None or due not in instance.inbox:
        return []
    instance.starts_at = None
    return readiness(instance)


def terminate(instance: Instance, output: str | None, recurse: bool, now: int) -> list[Effect]:
    """Request termination; an instance that was never dispatched ends immediately."""
    if instance.has_ended:
        return []
    ended = pb.ExecutionTerminatedEvent(input=string_value(output), recurse=recurse)
    news = event(now, executionTerminated=ended)
    if not instance.never_dispatched:
        return deliver(instance, news, now)
    return end_without_worker(
        instance, pb.ORCHESTRATION_STATUS_TERMINATED, now, news, output=output
    )


def fail_without_worker(instance: Instance, kind: str, message: str, now: int) -> list[Effect]:
    """Fail an instance for a reason outside its worker."""
    reason = failure(kind, message)
    return end_without_worker(instance, pb.ORCHESTRATION_STATUS_FAILED, now, reason=reason)


def end_without_worker(
    instance: Instance,
    status: pb.OrchestrationStatus,
    now: int,
    *news: pb.HistoryEvent,
    output: str | None = None,
    reason: pb.TaskFailureDetails | None = None,
) -> list[Effect]:
    """End an instance without running its code again; its history keeps the unprocessed events."""
    instance.history += [*instance.inbox, *news]
    instance.inbox.clear()
    instance.turn = None
    return [CancelTurn(instance.instance_id), *end(instance, status, now, output, reason)]


def end(
    instance: Instance,
    status: pb.OrchestrationStatus,
    now: int,
    output: str | None,
    reason: pb.TaskFailureDetails | None,
) -> list[Effect]:
    """End an instance: close its history, notify its parent, release its locks."""
    completed = pb.ExecutionCompletedEvent(orchestrationStatus=status, result=string_value(output))
    if reason is not None:
        shorten(reason)
        completed.failureDetails.CopyFrom(reason)
    instance.history.append(event(now, executionCompleted=completed))
    instance.status, instance.output, instance.failure = status, output, reason
    instance.completed_at = instance.updated_at = now
    instance.starts_at = None
    effects: list[Effect] = [
        NotifyWaiters(instance.instance_id),
        *release_locks(instance),
        *notify_parent(instance, now),
    ]
    if status == pb.ORCHESTRATION_STATUS_FAILED:
        # A rewind needs the events of work still in progress.
        instance.inbox = [news for news in instance.inbox if _outlives_failure(news)]
    else:
        effects += _drop_what_is_open(instance)
    if not instance.pending_tasks:
        instance.summary = summarize(instance)
    return effects


def _drop_what_is_open(instance: Instance) -> list[Effect]:
    """Drop unprocessed events and pending tasks of an instance that cannot be rewound."""
    is_completed = instance.status == pb.ORCHESTRATION_STATUS_COMPLETED
    effects = orphan_activities(instance) if is_completed else cancel_activities(instance)
    instance.inbox.clear()
    instance.pending_tasks.clear()
    effects.append(CancelTimers(instance.instance_id))
    termination = _recursive_termination(instance)
    if termination is not None:
        output = optional_string(termination, "input")
        effects.append(TerminateChildren(instance.instance_id, output))
    return effects


def _recursive_termination(instance: Instance) -> pb.ExecutionTerminatedEvent | None:
    """Return the recursive termination that ended the instance, if there was one."""
    if instance.status != pb.ORCHESTRATION_STATUS_TERMINATED:
        return None
    terminations = [e.executionTerminated for e in instance.history]
    return next((termination for termination in terminations if termination.recurse), None)


def release_locks(instance: Instance) -> list[Unlock]:
    """Release every lock that the instance holds or waits for."""
    return [
        Unlock(entity_id, item.entityLockRequested.criticalSectionId)
        for item in instance.history
        for entity_id in item.entityLockRequested.lockSet
    ]


def notify_parent(instance: Instance, now: int) -> list[Effect]:
    """Notify the parent of its sub-orchestration's end."""
    if instance.parent_id is None:
        return []
    ended = completion_event(instance, now)
    return [DeliverEvent(instance.parent_id, ended, instance.parent_task, instance.instance_id)]


def completion_event(instance: Instance, now: int) -> pb.HistoryEvent:
    """Return the event that reports a sub-orchestration's end to its parent."""
    if instance.status == pb.ORCHESTRATION_STATUS_COMPLETED:
        completed = pb.SubOrchestrationInstanceCompletedEvent(
            taskScheduledId=instance.parent_task, result=string_value(instance.output)
        )
        return event(now, subOrchestrationInstanceCompleted=completed)
    reason = instance.failure or failure(
        "SubOrchestrationTerminated",
        f"The sub-orchestration '{instance.instance_id}' was terminated.",
    )
    return sub_orchestration_failed(instance.parent_task, reason, now)


def sub_orchestration_failed(
    task_id: int, reason: pb.TaskFailureDetails, now: int
) -> pb.HistoryEvent:
    """Return the event that reports a sub-orchestration's failure to its parent."""
    failed = pb.SubOrchestrationInstanceFailedEvent(taskScheduledId=task_id, failureDetails=reason)
    return event(now, subOrchestrationInstanceFailed=failed)


def terminate_without_worker(instance: Instance, output: str | None, now: int) -> list[Effect]:
    """Terminate an instance without its worker."""
    return end_without_worker(
        instance,
        pb.ORCHESTRATION_STATUS_TERMINATED,
        now,
        event(now, executionTerminated=pb.ExecutionTerminatedEvent(input=string_value(output))),
        output=output,
    )
