"""Replays histories on real workers and compares requested steps with recorded ones."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from durabletask.history import HistoryEvent
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from dts_emulator.engine.comparison import Mismatch, first_mismatch
from dts_emulator.engine.history_json import protocol_events, read_history
from dts_emulator.engine.steps import requested_steps
from dts_emulator.replay.recorded import History, RecordedTurn, history_of
from dts_emulator.replay.server import ReplayServer, WorkerRefusedError

# Failures with which a worker rejects an orchestrator.
_NOT_REGISTERED = "OrchestratorNotRegisteredError"
_OTHER_VERSION = ("VersionMismatch", "VersionError")


@dataclass(frozen=True)
class Difference:
    """A step that the code now requests differently from its history.

    `turn` and `step` count from 1, the steps over the whole history. `recorded` and `now` are
    the two steps as text, "nothing" if it is missing.
    """

    turn: int
    step: int
    recorded: str
    now: str

    def __str__(self) -> str:
        return (
            f"turn {self.turn}, step {self.step}\n"
            f"  recorded: {self.recorded}\n"
            f"  now:      {self.now}"
        )


@dataclass(frozen=True)
class ReplayResult:
    """The result of replaying one history, with the first difference, if any.

    Its text is what `dts-emulator replay` prints.
    """

    name: str
    differences: tuple[Difference, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the code matches the history."""
        return not self.differences

    def __str__(self) -> str:
        if self.ok:
            return f"ok {self.name}"
        return "\n".join(f"differs {self.name}: {one}" for one in self.differences)


class Replayer:
    """A private scheduler that replays recorded histories. Use it as a context manager.

    Start a worker with `endpoint` and `task_hub`, then replay any number of histories. Only
    orchestrator code runs: no activity, no entity, no sub-orchestration.

    Args:
        timeout: seconds that a worker has to connect, and to answer each turn.

    Example:
        with Replayer() as replayer, create_worker(replayer.endpoint) as worker:
            worker.start()
            result = replayer.replay("tests/histories/ten_items.json")
            assert result.ok, result
    """

    def __init__(self, *, timeout: float = 60.0) -> None:
        self.task_hub = "default"
        self._timeout = timeout
        self._server = ReplayServer()

    @property
    def endpoint(self) -> str:
        """The URL that workers connect to, e.g. `http://127.0.0.1:51234`."""
        return self._server.endpoint

    def replay(
        self, history: str | os.PathLike[str] | Sequence[HistoryEvent], *, name: str | None = None
    ) -> ReplayResult:
        """Replay a history and return where the code first differs from it.

        Args:
            history: the path of a history file, or the events of one, as
                `client.get_orchestration_history` returns them.
            name: how the result names the history; by default its path or its instance ID.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not a history.
            NoAnswerError: no worker connected, or it did not answer in time.
            WorkerRefusedError: the worker does not run this orchestrator, or not in this version.
        """
        if isinstance(history, (str, os.PathLike)):
            events: Iterable[pb.HistoryEvent] = read_history(Path(history).read_bytes())
            name = name or os.fspath(history)
        else:
            events = protocol_events(history)
        return replay(self._server, events, name, self._timeout)

    def close(self) -> None:
        """Disconnect the workers and free the port."""
        self._server.close()

    def __enter__(self) -> Replayer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def replay(
    server: ReplayServer, events: Iterable[pb.HistoryEvent], name: str | None, timeout: float
) -> ReplayResult:
    """Replay a history on the workers of `server`; `timeout` is that of each turn, in seconds.

    Raises: as Replayer.replay, but for OSError.
    """
    history = history_of(events)
    if history is None:
        return ReplayResult(name or "a history without events")
    name = name or history.started.orchestrationInstance.instanceId or "unknown"
    for turn in history.turns:
        answer = server.ask(
            _request(history, turn),
            history.started.name,
            history.started.version.value,
            timeout,
        )
        requested = turn.to_compare(requested_steps(answer))
        mismatch = first_mismatch(turn.expected, requested)
        if mismatch is not None:
            _check_refusal(mismatch, history.started.name)
            number = turn.first_step + mismatch.index + 1
            return ReplayResult(name, (Difference(turn.number, number, *mismatch.texts()),))
    return ReplayResult(name)


def _request(history: History, turn: RecordedTurn) -> pb.OrchestratorRequest:
    instance = history.started.orchestrationInstance
    request = pb.OrchestratorRequest(
        instanceId=instance.instanceId,
        pastEvents=turn.past,
        newEvents=turn.new,
        # Without it, workers of the .NET SDK consider entities unsupported.
        entityParameters=pb.OrchestratorEntityParameters(entityMessageReorderWindow=Duration()),
    )
    if instance.HasField("executionId"):
        request.executionId.CopyFrom(instance.executionId)
    return request


def _check_refusal(mismatch: Mismatch, name: str) -> None:
    """Raise WorkerRefusedError if a worker's answer rejects the orchestrator."""
    step = mismatch.after
    kind = (step.failed_with or "") if step is not None else ""
    if kind == _NOT_REGISTERED:
        raise WorkerRefusedError(f"The worker does not take '{name}': it has not registered it.")
    if step is not None and kind in _OTHER_VERSION:
        raise WorkerRefusedError(
            f"The worker does not take '{name}': {step.details['error message']}"
        )
