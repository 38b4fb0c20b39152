"""Failures that the scheduler itself finds, in the form in which workers report theirs."""

from __future__ import annotations

from durabletask.internal import orchestrator_service_pb2 as pb


def failure(kind: str, message: str) -> pb.TaskFailureDetails:
    """Return a failure that no retry can mend."""
    return pb.TaskFailureDetails(errorType=kind, errorMessage=message, isNonRetriable=True)


def fail_turn(answer: pb.OrchestratorResponse, reason: pb.TaskFailureDetails) -> None:
    """Replace all that an orchestrator asks for by its failure."""
    answer.ClearField("customStatus")
    del answer.actions[:]
    failed = pb.CompleteOrchestrationAction(
        orchestrationStatus=pb.ORCHESTRATION_STATUS_FAILED, failureDetails=reason
    )
    answer.actions.add(id=-1, completeOrchestration=failed)


def fail_activity(answer: pb.ActivityResponse, reason: pb.TaskFailureDetails) -> None:
    """Replace an activity's result by a failure."""
    answer.ClearField("result")
    answer.failureDetails.CopyFrom(reason)


def fail_batch(
    answer: pb.EntityBatchResult, state: str | None, reason: pb.TaskFailureDetails
) -> None:
    """Replace the outcome of every operation of a batch by a failure, and keep the old state."""
    for result in answer.results:
        result.failure.failureDetails.CopyFrom(reason)
    del answer.actions[:]
    answer.ClearField("entityState")
    if state is not None:
        answer.entityState.value = state
