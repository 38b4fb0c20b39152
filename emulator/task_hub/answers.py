"""What the task hub makes of workers' answers: history events, and failures of its own."""

from __future__ import annotations

import logging

import durabletask.internal.helpers as helpers
import durabletask.internal.orchestrator_service_pb2 as pb

logger = logging.getLogger("emulator")


def dropped(what: str) -> pb.CompleteTaskResponse:
    """Answer a completion that counts for nothing: it is not the first, or not of this kind."""
    logger.debug("Dropped a completion that came after the first: %s", what)
    return pb.CompleteTaskResponse()


def activity_ended(response: pb.ActivityResponse) -> pb.HistoryEvent:
    """Return the event that tells an orchestration how an activity has ended."""
    if response.HasField("failureDetails"):
        failed = pb.TaskFailedEvent(
            taskScheduledId=response.taskId, failureDetails=response.failureDetails
        )
        return pb.HistoryEvent(eventId=-1, taskFailed=failed)
    result = response.result.value if response.HasField("result") else None
    return helpers.new_task_completed_event(response.taskId, result)


def too_large(problem: str) -> pb.TaskFailureDetails:
    """Return the failure of whatever has made a payload that is too large."""
    return pb.TaskFailureDetails(
        errorType="PayloadTooLarge", errorMessage=problem, isNonRetriable=True
    )


def fail_orchestration(response: pb.OrchestratorResponse, problem: str) -> None:
    """Replace what an orchestrator asks for by its failure."""
    failure = helpers.new_complete_orchestration_action(
        -1, pb.ORCHESTRATION_STATUS_FAILED, None, too_large(problem)
    )
    response.ClearField("customStatus")
    del response.actions[:]
    response.actions.append(failure)


def fail_entity_batch(result: pb.EntityBatchResult, state: str | None, problem: str) -> None:
    """Replace the outcome of every operation by a failure and keep the old state."""
    failure = pb.OperationResultFailure(failureDetails=too_large(problem))
    for operation in result.results:
        operation.failure.CopyFrom(failure)
    del result.actions[:]
    result.entityState.value = state or ""
