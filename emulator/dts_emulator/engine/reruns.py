"""Repeated runs of instances: continue-as-new, restart, replacement, rewind."""

from __future__ import annotations

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.effects import CancelTimers, Effect, RewindChild
from dts_emulator.engine.errors import ExistsError, InvalidError, PreconditionError
from dts_emulator.engine.events import (
    copy_fields,
    event,
    execution_started,
    optional_string,
    string_value,
    unanswered,
)
from dts_emulator.engine.ids import new_id
from dts_emulator.engine.instances import readiness, release_locks
from dts_emulator.engine.model import ENDED, Instance
from dts_emulator.engine.recovery import orphan_activities

RUNNING_STATUSES = frozenset(
    {
        pb.ORCHESTRATION_STATUS_RUNNING,
        pb.ORCHESTRATION_STATUS_PENDING,
        pb.ORCHESTRATION_STATUS_SUSPENDED,
    }
)


def replaceable_statuses(request: pb.CreateInstanceRequest) -> frozenset[int]:
    """Return the statuses of an instance that a new one with its ID may replace.

    Without a policy these are the statuses of instances that have ended.

    Raises:
        InvalidError: the policy contradicts itself.
    """
    if not request.HasField("orchestrationIdReusePolicy"):
        return ENDED
    replaceable = frozenset(request.orchestrationIdReusePolicy.replaceableStatus)
    if replaceable & RUNNING_STATUSES and pb.ORCHESTRATION_STATUS_TERMINATED not in replaceable:
        raise InvalidError(
            "Invalid reusable statuses: cannot exclude 'Terminated' while also allowing "
            "reuse of running instances"
        )
    return replaceable


def check_reuse(existing: Instance | None, replaceable: frozenset[int]) -> None:
    """Reject the replacement of an instance whose status is not replaceable.

    Raises:
        ExistsError: the ID is in use.
    """
    if existing is not None and existing.status not in replaceable:
        raise ExistsError(
            f"Orchestration instance '{existing.instance_id}' already exists, "
            f"with non-replaceable status {status_name(existing)}"
        )


def status_name(instance: Instance) -> str:
    """Return an instance's status as the dashboard and messages name it, e.g. RUNNING."""
    return pb.OrchestrationStatus.Name(instance.status).removeprefix("ORCHESTRATION_STATUS_")


def restarted(instance: Instance, new_instance_id: str) -> pb.ExecutionStartedEvent:
    """Return the start of another run of an instance, with the same name, input and tags.

    Raises:
        PreconditionError: it still runs, and the restart would reuse its ID.
    """
    if not instance.has_ended and new_instance_id == instance.instance_id:
        raise PreconditionError(
            f"Orchestration instance '{instance.instance_id}' is not in a terminal state "
            f"but {status_name(instance)}"
        )
    return pb.ExecutionStartedEvent(
        name=instance.name,
        orchestrationInstance=pb.OrchestrationInstance(instanceId=new_instance_id),
        version=string_value(instance.version),
        input=string_value(instance.input),
        tags=instance.tags,
    )


def continue_as_new(
    instance: Instance, completion: pb.CompleteOrchestrationAction, now: int
) -> list[Effect]:
    """Begin a new execution with a new input, an empty history and the unprocessed events."""
    before = execution_started(instance.history)
    effects: list[Effect] = [
        *release_locks(instance),
        *orphan_activities(instance),
        CancelTimers(instance.instance_id),
    ]
    instance.execution_id = new_id()
    instance.input = optional_string(completion, "result")
    instance.version = optional_string(completion, "newVersion") or instance.version
    instance.tags = dict(completion.tags) or instance.tags
    started = pb.ExecutionStartedEvent(
        name=instance.name,
        version=string_value(instance.version),
        input=string_value(instance.input),
        tags=instance.tags,
    )
    started.orchestrationInstance.instanceId = instance.instance_id
    started.orchestrationInstance.executionId.value = instance.execution_id
    copy_fields(before, started, "parentInstance", "parentTraceContext")
    carried = [_restamped(item, now) for item in completion.carryoverEvents]
    instance.inbox[:0] = [event(now, executionStarted=started), *carried]
    instance.history = []
    instance.pending_tasks = {}
    instance.dispatch_times = {}
    instance.trace = None
    return effects


def _restamped(item: pb.HistoryEvent, now: int) -> pb.HistoryEvent:
    """Return an event that a worker carries over; SDKs leave its time out."""
    if not item.timestamp.seconds:
        item.timestamp.CopyFrom(event(now).timestamp)
    return item


def rewind(instance: Instance, news: pb.ExecutionRewoundEvent, now: int) -> list[Effect]:
    """Resume a failed instance from before its failure; its worker will rewrite its history.

    Raises:
        PreconditionError: it has not failed.
    """
    if instance.status != pb.ORCHESTRATION_STATUS_FAILED:
        raise PreconditionError(
            f"Orchestration instance '{instance.instance_id}' is not in a failed state "
            f"but {status_name(instance)}: this does not allow a rewind"
        )
    instance.status = pb.ORCHESTRATION_STATUS_RUNNING
    instance.output = instance.failure = instance.completed_at = instance.summary = None
    instance.updated_at = now
    instance.rewind = event(now, executionRewound=news)
    return readiness(instance)


def rewrite(instance: Instance, action: pb.RewindOrchestrationAction) -> list[Effect]:
    """Replace the history by the one that a worker has rewritten, and continue from it.

    Work in progress at the failure continues; sub-orchestrations that have failed, or no longer
    exist, run again.
    """
    before = instance.pending_tasks
    instance.history = list(action.newHistory)
    instance.execution_id = execution_started(
        instance.history
    ).orchestrationInstance.executionId.value
    still_open = unanswered([*instance.history, *instance.inbox])
    instance.pending_tasks = {key: before.get(key, asked) for key, asked in still_open.items()}
    instance.owes_turn = True
    reason = _reason(instance.history)
    return [
        RewindChild(instance.instance_id, asked, reason)
        for key, asked in instance.pending_tasks.items()
        if asked.HasField("subOrchestrationInstanceCreated") and key not in before
    ]


def _reason(history: list[pb.HistoryEvent]) -> str:
    reasons = [e.executionRewound.reason.value for e in history if e.HasField("executionRewound")]
    return reasons[-1] if reasons else ""
