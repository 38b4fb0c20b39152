"""From an instance's failure down to the step that caused it, through its sub-orchestrations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dts_emulator.dashboard.links import instance_path
from dts_emulator.dashboard.models import ENDED, InstanceDetail
from dts_emulator.dashboard.steps import FAILED, Step
from dts_emulator.dashboard.timeline import steps_of

_DEEPEST = 10
_TASK = re.compile(r"((?:Activity|Sub-orchestration) task #(\d+))")


@dataclass(frozen=True)
class FailedStep:
    """A step that has failed, with the instance that it belongs to."""

    instance_id: str
    step: Step
    link: str


@dataclass(frozen=True)
class LinkedText:
    """A piece of a text, with the place that it speaks of."""

    text: str
    link: str | None = None


def steps_of_detail(detail: InstanceDetail) -> list[Step]:
    """Return an instance's steps, with the times that its task hub knows."""
    return steps_of(
        [*detail.history, *detail.arrived],
        ended=detail.instance.status in ENDED,
        dispatch_times=detail.dispatch_times,
        started={child.instance_id: child.started_at for child in detail.children.values()},
    )


def failure_path(
    task_hub: str,
    find: Callable[[str], InstanceDetail | None],
    detail: InstanceDetail,
    steps: Sequence[Step],
) -> list[FailedStep]:
    """Return the failed step of an instance, of the sub-orchestration that this was, and so on.

    `find` returns an instance of the task hub by its ID.
    """
    path: list[FailedStep] = []
    message = detail.failure.message if detail.failure else ""
    while len(path) < _DEEPEST:
        step = _failed_step(steps, message)
        if step is None:
            return path
        instance_id = detail.instance.instance_id
        link = f"{instance_path(task_hub, instance_id)}?status=FAILED#step-{step.number}"
        path.append(FailedStep(instance_id, step, link))
        child = find(step.child_id) if step.child_id else None
        if child is None:
            return path
        detail, steps = child, steps_of_detail(child)
        message = detail.failure.message if detail.failure else ""
    return path


def _failed_step(steps: Sequence[Step], message: str) -> Step | None:
    """Return the failed step that a message names, or else the first that has failed."""
    failed = [step for step in steps if step.status == FAILED]
    named = _TASK.search(message)
    number = int(named[2]) if named else None
    return next((s for s in failed if s.task_id == number), next(iter(failed), None))


def linked(message: str, path: Sequence[FailedStep]) -> list[LinkedText]:
    """Cut a failure's text into pieces; those that name a step lead to it.

    The SDK nests messages: the first task that one names is the instance's own, the next is one
    of that sub-orchestration, and so on.
    """
    pieces: list[LinkedText] = []
    end = 0
    for found, failed in zip(_TASK.finditer(message), path, strict=False):
        if failed.step.task_id != int(found[2]):
            break
        pieces += [LinkedText(message[end : found.start()]), LinkedText(found[1], failed.link)]
        end = found.end()
    return [piece for piece in (*pieces, LinkedText(message[end:])) if piece.text]
