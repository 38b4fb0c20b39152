"""An orchestrator's turn: its events for the worker, and the processing of the answer."""

from __future__ import annotations

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine import entities
from dts_emulator.engine.actions import apply_action
from dts_emulator.engine.comparison import first_mismatch
from dts_emulator.engine.effects import Effect, NotifyWaiters
from dts_emulator.engine.errors import InvalidError
from dts_emulator.engine.events import check_readable, event, execution_started
from dts_emulator.engine.failures import check_events, fail_turn, failure
from dts_emulator.engine.ids import check_instance_id
from dts_emulator.engine.instances import end, readiness
from dts_emulator.engine.model import Instance, Turn
from dts_emulator.engine.reruns import continue_as_new, rewrite
from dts_emulator.engine.steps import requested_steps
from dts_emulator.engine.tags import check_tags

# The maximum size of an answer in several messages.
MAX_ANSWER_BYTES = 64 * 1024 * 1024

# The statuses that a turn may end an orchestration with.
COMPLETIONS = frozenset(
    {
        pb.ORCHESTRATION_STATUS_COMPLETED,
        pb.ORCHESTRATION_STATUS_FAILED,
        pb.ORCHESTRATION_STATUS_TERMINATED,
        pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW,
    }
)


_DETERMINISM_ADVICE = "use ctx.new_uuid(), ctx.current_utc_datetime, or an activity."


def take(instance: Instance, now: int) -> list[pb.HistoryEvent]:
    """Return the new events of the instance's next turn.

    A turn whose worker has disconnected begins with the same events.
    """
    if instance.rewind is not None:
        # The worker rewrites the history in a turn of its own.
        if instance.turn is None:
            instance.turn = Turn(_orchestrator_started(now), 0)
        return [instance.turn.started, instance.rewind]
    if instance.turn is not None and instance.turn.first_answer is not None:
        # The second run gets the same events as the first, without later arrivals.
        return [instance.turn.started, *instance.inbox[: instance.turn.count]]
    started = _orchestrator_started(now) if instance.turn is None else instance.turn.started
    instance.turn = Turn(started, len(instance.inbox))
    instance.owes_turn = False
    return [started, *instance.inbox]


def keep_first_answer(instance: Instance, answer: pb.OrchestratorResponse) -> bool:
    """Store the first answer to a turn for a comparison; return False for a later one.

    The rewrite of a history, for a rewind, does not run the orchestrator.
    """
    turn = instance.turn
    if turn is None or turn.first_answer is not None or instance.rewind is not None:
        return False
    turn.first_answer = answer
    return True


def compare_runs(instance: Instance, answer: pb.OrchestratorResponse) -> None:
    """Fail an orchestrator whose second answer to a turn differs from the first."""
    first = instance.turn.first_answer if instance.turn is not None else None
    if first is None:
        return
    mismatch = first_mismatch(requested_steps(first), requested_steps(answer))
    if mismatch is not None:
        problem = f"Two runs of the same turn differ: {mismatch.summary()}: {_DETERMINISM_ADVICE}"
        fail_turn(answer, failure("NonDeterminismError", problem))


def check(answer: pb.OrchestratorResponse, instance: Instance) -> None:
    """Validate an answer to the instance's turn.

    Raises:
        InvalidError: it is for another instance, or sets a status that a turn must not set.
    """
    if answer.instanceId != instance.instance_id:
        raise InvalidError(
            f"The turn belongs to instance '{instance.instance_id}', not '{answer.instanceId}'."
        )
    for action in answer.actions:
        status = action.completeOrchestration.orchestrationStatus
        if action.HasField("completeOrchestration") and status not in COMPLETIONS:
            raise InvalidError(f"A turn cannot end an orchestration with status {status}.")


def add_chunk(turn: Turn | None, part: pb.OrchestratorResponse) -> pb.OrchestratorResponse | None:
    """Assemble an answer that arrives in chunks; return it with the last one, before that None.

    The first chunk holds the fields of the whole; a repeated first chunk starts over
    (durabletask-java, OrchestratorChunkingTest).
    """
    if turn is None or not part.HasField("chunkIndex"):
        return part
    if part.chunkIndex.value == 0:
        turn.reset_chunks()
    turn.chunks.append(part)
    turn.size += part.ByteSize()
    if turn.size > MAX_ANSWER_BYTES:
        turn.reset_chunks()
        return _too_large(part)
    if part.isPartial:
        return None
    whole = pb.OrchestratorResponse()
    whole.CopyFrom(turn.chunks[0])
    for later in turn.chunks[1:]:
        whole.actions.extend(later.actions)
    turn.reset_chunks()
    return whole


def _too_large(part: pb.OrchestratorResponse) -> pb.OrchestratorResponse:
    problem = f"The answer to a turn has more than {MAX_ANSWER_BYTES:,} bytes."
    fail_turn(part, failure("TurnTooLarge", problem))
    return part


def settle(instance: Instance, answer: pb.OrchestratorResponse, now: int) -> list[Effect]:
    """Record a worker's answer in the history and return the effects."""
    _refuse_bad_actions(answer)
    taken = _commit_events(instance, answer, now)
    if answer.HasField("customStatus"):
        instance.custom_status = answer.customStatus.value
    if answer.HasField("orchestrationTraceContext"):
        instance.trace = answer.orchestrationTraceContext
    instance.updated_at = now
    effects: list[Effect] = [NotifyWaiters(instance.instance_id)]
    instance.status = _status_after(instance, taken)
    completion: pb.CompleteOrchestrationAction | None = None
    for action in answer.actions:
        if action.HasField("completeOrchestration"):
            completion = action.completeOrchestration
        elif action.HasField("rewindOrchestration"):
            effects += rewrite(instance, action.rewindOrchestration)
        else:
            effects += apply_action(instance, action, now)
    effects += _complete(instance, completion or _forced_end(taken), now)
    return [*effects, *readiness(instance)]


def _orchestrator_started(now: int) -> pb.HistoryEvent:
    return event(now, orchestratorStarted=pb.OrchestratorStartedEvent())


def _refuse_bad_actions(answer: pb.OrchestratorResponse) -> None:
    """Fail an orchestrator whose actions contain an invalid ID or timestamp."""
    try:
        for action in answer.actions:
            _check_action(action)
    except InvalidError as error:
        fail_turn(answer, failure("InvalidRequest", str(error)))


def _check_action(action: pb.OrchestratorAction) -> None:
    match action.WhichOneof("orchestratorActionType"):
        case "createSubOrchestration":
            check_instance_id(action.createSubOrchestration.instanceId)
            check_tags(action.createSubOrchestration.tags)
        case "createTimer":
            check_readable(action.createTimer)
        case "sendEntityMessage":
            entities.check_message(action.sendEntityMessage)
        case "completeOrchestration":
            check_events(action.completeOrchestration.carryoverEvents)
            check_tags(action.completeOrchestration.tags)
        case "rewindOrchestration":
            check_events(action.rewindOrchestration.newHistory)
            execution_started(action.rewindOrchestration.newHistory)


def _commit_events(
    instance: Instance, answer: pb.OrchestratorResponse, now: int
) -> list[pb.HistoryEvent]:
    """Move the events that the turn has processed into the history, and return them."""
    turn = instance.turn or Turn(_orchestrator_started(now), 0)
    instance.turn = None
    if instance.rewind is not None:
        taken, instance.rewind = [instance.rewind], None
    else:
        count = turn.count
        if answer.HasField("numEventsProcessed"):
            # The worker's count includes the turn's own first event.
            count = min(count, max(0, answer.numEventsProcessed.value - 1))
        if not instance.history:
            count = max(count, 1)  # The first turn must process the start.
        taken = instance.inbox[:count]
        del instance.inbox[:count]
    instance.history += [turn.started, *taken]
    return taken


def _status_after(instance: Instance, taken: list[pb.HistoryEvent]) -> pb.OrchestrationStatus:
    status = instance.status
    if status == pb.ORCHESTRATION_STATUS_PENDING:
        status = pb.ORCHESTRATION_STATUS_RUNNING
    for item in taken:
        if item.HasField("executionSuspended"):
            status = pb.ORCHESTRATION_STATUS_SUSPENDED
        elif item.HasField("executionResumed"):
            status = pb.ORCHESTRATION_STATUS_RUNNING
    return status


def _forced_end(taken: list[pb.HistoryEvent]) -> pb.CompleteOrchestrationAction | None:
    """Return the end that a termination requests, for an orchestrator that did not complete."""
    for item in taken:
        if item.HasField("executionTerminated"):
            return pb.CompleteOrchestrationAction(
                orchestrationStatus=pb.ORCHESTRATION_STATUS_TERMINATED,
                result=item.executionTerminated.input
                if item.executionTerminated.HasField("input")
                else None,
            )
    return None


def _complete(
    instance: Instance, completion: pb.CompleteOrchestrationAction | None, now: int
) -> list[Effect]:
    if completion is None:
        return []
    if completion.orchestrationStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
        return continue_as_new(instance, completion, now)
    output = completion.result.value if completion.HasField("result") else None
    reason = completion.failureDetails if completion.HasField("failureDetails") else None
    return end(instance, completion.orchestrationStatus, now, output, reason)
