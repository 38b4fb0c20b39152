"""A recorded history as turns to replay: events for the worker, and the expected steps.

A turn begins with orchestratorStarted, processes events, and ends with the steps it requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.events import event_type
from dts_emulator.engine.steps import END, STEP_EVENTS, Step, recorded_steps

# Failures with which the scheduler replaces an answer, or ends an instance without one.
_SCHEDULER_FAILURES = frozenset({"PayloadTooLarge", "TurnTooLarge", "InvalidRequest"})
# The failure of code that did not match its history, detected by a worker or the scheduler.
_MISFIT = "NonDeterminismError"

_TRACE_FIELDS = ("parentTraceContext", "orchestrationSpanID")


@dataclass(frozen=True)
class RecordedTurn:
    """A turn to replay.

    A worker gets the events `past` and `new` and must request `expected`. `number` counts turns
    from 1, `first_step` is the number of steps in earlier turns. `is_rewound`: a rewind has moved
    some of its steps to a later turn, where they are compared.
    """

    number: int
    past: Sequence[pb.HistoryEvent]
    new: Sequence[pb.HistoryEvent]
    expected: Sequence[Step]
    first_step: int
    is_rewound: bool = False

    def to_compare(self, requested: Sequence[Step]) -> Sequence[Step]:
        """Return those of the requested steps that belong to this turn."""
        if not self.is_rewound:
            return requested
        mine = {step.number for step in self.expected}
        return [step for step in requested if step.number in mine]


@dataclass(frozen=True)
class History:
    """The last execution of an instance; `turns` are those to replay, in order."""

    started: pb.ExecutionStartedEvent
    turns: Sequence[RecordedTurn]


def history_of(events: Iterable[pb.HistoryEvent]) -> History | None:
    """Return the execution to replay, None if its orchestrator has not started.

    Raises:
        ValueError: the ExecutionStarted event is missing.
    """
    execution = _last_execution([_without_traces(event) for event in events])
    if not execution:
        return None
    starts = [event.executionStarted for event in execution if event.HasField("executionStarted")]
    if not starts:
        raise ValueError("The history has no ExecutionStarted event.")
    return History(starts[-1], _turns(execution))


def _without_traces(event: pb.HistoryEvent) -> pb.HistoryEvent:
    copy = pb.HistoryEvent()
    copy.CopyFrom(event)
    body = getattr(copy, event_type(copy))
    for name in _TRACE_FIELDS:
        if name in body.DESCRIPTOR.fields_by_name:
            body.ClearField(name)
    return copy


def _last_execution(events: list[pb.HistoryEvent]) -> list[pb.HistoryEvent]:
    """Return the events of the last execution: some stores keep earlier ones."""
    starts = [at for at, event in enumerate(events) if event.HasField("executionStarted")]
    if len(starts) < 2:
        return events
    between = range(starts[-2], starts[-1])
    turns = [at for at in between if events[at].HasField("orchestratorStarted")]
    return events[turns[-1] if turns else starts[-1] :]


def _turns(events: Sequence[pb.HistoryEvent]) -> list[RecordedTurn]:
    """Return the turns that requested steps, and the last one that can be replayed.

    Wrong or missing steps of the other turns appear in these too.
    """
    starts = [at for at, event in enumerate(events) if event.HasField("orchestratorStarted")]
    if not starts:
        return []
    ends = [*starts[1:], len(events)]
    rewinds = [at for at, event in enumerate(events) if event.HasField("executionRewound")]
    turns: list[RecordedTurn] = []
    steps = 0
    for number, (start, end) in enumerate(zip(starts, ends, strict=True), start=1):
        is_rewound = bool(rewinds) and start < rewinds[-1]
        replayable = _replayable(events[start:end])
        if replayable is None:
            continue
        new, expected = replayable
        turns.append(RecordedTurn(number, events[:start], new, expected, steps, is_rewound))
        steps += len(expected)
    return [turn for turn in turns if turn.expected or (turn is turns[-1] and not turn.is_rewound)]


def _replayable(
    turn: Sequence[pb.HistoryEvent],
) -> tuple[Sequence[pb.HistoryEvent], Sequence[Step]] | None:
    """Return a turn's events and requested steps; None if they are ambiguous.

    An end without the worker follows the steps of a turn that it does not belong to. Of a
    terminated instance, only earlier turns are replayed.
    """
    delivered = list(takewhile(_is_delivered, turn))
    steps = recorded_steps(turn)
    asked = [step for step in steps if step.kind != END]
    end = steps[-1] if len(steps) > len(asked) else None
    if end is None:
        return delivered, steps
    if end.name == "terminated":
        return _before_termination(delivered, asked)
    failure = next(e.executionCompleted for e in reversed(turn) if e.HasField("executionCompleted"))
    kind = failure.failureDetails.errorType
    if kind.rpartition(".")[2] == _MISFIT:
        return None
    if kind in _SCHEDULER_FAILURES and not failure.failureDetails.HasField("stackTrace"):
        return (delivered, asked) if asked else None
    return delivered, steps


def _is_delivered(event: pb.HistoryEvent) -> bool:
    kind = event_type(event)
    return kind not in STEP_EVENTS and kind not in ("executionCompleted", "orchestratorCompleted")


def _before_termination(
    delivered: list[pb.HistoryEvent], asked: Sequence[Step]
) -> tuple[Sequence[pb.HistoryEvent], Sequence[Step]] | None:
    if not asked:
        # Other events here may have arrived after the turn.
        known = ("orchestratorStarted", "executionStarted")
        return [event for event in delivered if event_type(event) in known], asked
    if any(event.HasField("executionTerminated") for event in delivered[:-1]):
        return None
    if delivered[-1].HasField("executionTerminated"):
        return delivered[:-1], asked
    return delivered, asked
