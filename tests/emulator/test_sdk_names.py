"""The SDK's names that the task hub relies on: when a new SDK lacks one, this says which."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from dataclasses import fields

from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.testing.in_memory_backend import (
    EntityState,
    InMemoryOrchestrationBackend,
    OrchestrationInstance,
)

from emulator.task_hub import TaskHub
from emulator.task_hub.records import Record
from tests.processes import PROJECT

ROOM = PROJECT / "emulator" / "task_hub"
BACKEND = InMemoryOrchestrationBackend()
INSTANCE = OrchestrationInstance("id", "name", pb.ORCHESTRATION_STATUS_PENDING)
ENTITY = EntityState("id")

# Methods that the backend calls and the task hub replaces. No code of ours names them
# otherwise: should the SDK rename one, its own would run and nothing would fail at once.
HOOKS = {
    "_enqueue_entity",
    "_enqueue_orchestration",
    "_grant_lock",
    "_notify_waiters",
    "_prepare_rewind",
    "_process_complete_orchestration_action",
    "_process_create_sub_orchestration_action",
    "_process_create_timer_action",
    "_process_schedule_task_action",
    "_schedule_delayed_entity_operation",
    "_terminate_instance_internal",
    "_try_grant_pending_locks",
    "_watch_sub_orchestration",
}

# What the short names of modules in the room's code stand for.
MODULES = {
    "helpers": "durabletask.internal.helpers",
    "history": "durabletask.history",
    "pb": "durabletask.internal.orchestrator_service_pb2",
}


def names_in(file: str) -> Iterator[tuple[object, str]]:
    """Yield what the code of one file takes from the SDK: where from, and which name."""
    tree = ast.parse((ROOM / file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("durabletask"):
            for alias in node.names:
                yield importlib.import_module(str(node.module)), alias.name
        elif isinstance(node, ast.Attribute):
            match ast.unparse(node.value):
                case "self" if node.attr not in OURS:
                    yield BACKEND, node.attr
                case "super()":
                    yield BACKEND, node.attr
                case "instance" | "record.instance" | "child.instance":
                    yield INSTANCE, node.attr
                case "entity":
                    yield ENTITY, node.attr
                case owner if owner in MODULES:
                    yield importlib.import_module(MODULES[owner]), node.attr


def our_own_names() -> set[str]:
    """Return the methods and attributes that only the room's own classes have."""
    layers = [layer for layer in TaskHub.__mro__ if layer.__module__.startswith("emulator.")]
    methods = {name for layer in layers for name in vars(layer)}
    attributes = set(vars(TaskHub("any"))) - set(vars(BACKEND))
    return methods - HOOKS | attributes | {field.name for field in fields(Record)}


OURS = our_own_names()


def test_the_sdk_has_every_name_that_the_task_hub_relies_on() -> None:
    used = [(path.name, *use) for path in ROOM.glob("*.py") for use in names_in(path.name)]
    used += [("emulator/task_hub", BACKEND, hook) for hook in HOOKS]
    missing = {
        f"{file} relies on '{name}', which {nameable(owner)} lacks"
        for file, owner, name in used
        if not hasattr(owner, name)
    }
    assert len(used) > 100
    assert not missing, "The SDK has changed:\n" + "\n".join(sorted(missing))
    private = {name for name in OURS if name.startswith("_") and not name.startswith("__")}
    forgotten = {name for name in private if hasattr(BACKEND, name)}
    assert not forgotten, f"These replace methods of the backend: add {forgotten} to HOOKS"


def nameable(owner: object) -> str:
    """Return the name of a module, or of an object's class."""
    return str(getattr(owner, "__name__", type(owner).__name__))
