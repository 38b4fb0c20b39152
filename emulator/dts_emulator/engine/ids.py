"""Validation of instance IDs, entity IDs and task hub names."""

from __future__ import annotations

import re
import uuid

from dts_emulator.engine.errors import InvalidError

# https://learn.microsoft.com/azure/durable-task/scheduler/durable-task-scheduler#limitations
MAX_ID_LENGTH = 100


def new_id() -> str:
    """Return a new ID as the service mints it: a GUID as 32 lower-case hex digits."""
    return uuid.uuid4().hex


def check_instance_id(instance_id: str) -> str:
    """Return a valid ID for a new orchestration instance.

    Raises:
        InvalidError: it is empty, too long, not printable ASCII, or begins with '@'.
    """
    _check_characters(instance_id, "instance ID")
    if instance_id.startswith("@"):
        raise InvalidError(
            f"Invalid instance ID '{instance_id}': it must not begin with '@', as entity IDs do."
        )
    return instance_id


def check_entity_id(entity_id: str) -> str:
    """Return a valid entity ID.

    Raises:
        InvalidError: it is not of the form @name@key, too long, or not printable ASCII.
    """
    _check_characters(entity_id, "entity ID")
    name, separator, _ = entity_id[1:].partition("@")
    if not entity_id.startswith("@") or not name or not separator:
        raise InvalidError(f"Invalid entity ID '{entity_id}': expected @name@key.")
    return entity_id


def check_task_hub(name: str) -> str:
    """Return a valid task hub name.

    It appears in gRPC metadata, which is ASCII only, and in the URLs of pages.

    Raises:
        InvalidError: it is empty or too long, contains other characters than letters, digits,
            '-', '_' and '.', begins with '.', or ends in '.json'.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", name) or name.endswith(".json"):
        raise InvalidError(
            f"Invalid task hub name {name!a}: use 1 to 64 letters, digits, '-', '_' and '.'; "
            "it must not begin with '.' or end in '.json'."
        )
    return name


def _check_characters(text: str, what: str) -> None:
    if not 1 <= len(text) <= MAX_ID_LENGTH:
        raise InvalidError(
            f"The {what} has {len(text)} characters; 1 to {MAX_ID_LENGTH} are allowed."
        )
    if not (text.isascii() and text.isprintable()):
        raise InvalidError(f"The {what} {text!a} contains characters other than printable ASCII.")
