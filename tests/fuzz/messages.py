"""Random messages of the protocol: empty, huge, wrong, and now and then right."""

from __future__ import annotations

from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

IDS = ["a", "b", "c"] * 3 + ["@e@k", "@e@l", "@E@", "x" * 100]
TEXTS = ["", "x", "@", "@e", "a/b", "1|a", "9" * 30, "é\n\t\0", "\N{GRINNING FACE}", "x" * 101]
JSON = ["1", '"x"', "[1, 2]", "null", "{", '"\\ud800"', "[" * 500, "1e400"]
LARGE = "x" * 1_100_000
INTEGERS = [0, 1, 2, 3, 7, -1, 99, 500, 2**31 - 1, -(2**31)]
SECONDS = [0, 1, 1_700_000_000, 4_000_000_000, 253_402_300_799, -62_135_596_800]
NO_SECONDS = [2**62, -(2**62), 253_402_300_800]
NANOS = [0] * 20 + [5, 999_999_999, 10**9, -1]

# How deep a message may be made, and how often a field is set.
DEPTH = 6
LIKELIHOOD = 0.6


def random_message(kind: type[Message], random: Random, depth: int = 0) -> Any:
    """Return a message in which anything may be set to anything."""
    message = kind()
    if kind.DESCRIPTOR.full_name == "google.protobuf.Timestamp":
        message.seconds = random.choice(SECONDS if random.random() < 0.9 else NO_SECONDS)  # type: ignore[attr-defined]
        message.nanos = random.choice(NANOS)  # type: ignore[attr-defined]
        return message
    for field in kind.DESCRIPTOR.fields:
        if random.random() < LIKELIHOOD / (1 + depth / 4):
            _set(message, field, random, depth)
    return message


def _set(message: Message, field: Any, random: Random, depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value_field = field.message_type.fields_by_name["value"]
        if value_field.message_type is None:
            getattr(message, field.name)[random.choice(IDS)] = random.choice(TEXTS)
    elif field.message_type is not None:
        if depth >= DEPTH:
            return
        kind = GetMessageClass(field.message_type)
        for _ in range(random.randrange(4) if field.is_repeated else 1):
            made = random_message(kind, random, depth + 1)
            target = getattr(message, field.name)
            (target.add() if field.is_repeated else target).CopyFrom(made)
    elif field.is_repeated:
        getattr(message, field.name).extend(
            _scalar(field, random) for _ in range(random.choice([0, 1, 2, 600]))
        )
    else:
        setattr(message, field.name, _scalar(field, random))


def _scalar(field: Any, random: Random) -> Any:
    if field.type == FieldDescriptor.TYPE_BOOL:
        return random.random() < 0.5
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text(field, random)
    if field.type in (FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_DOUBLE):
        return field.default_value
    if field.type == FieldDescriptor.TYPE_ENUM:
        return random.choice([*field.enum_type.values_by_number, 99])
    wide = field.type in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64)
    number = random.choice(INTEGERS + ([2**62] if wide else []))
    unsigned = (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64)
    return abs(number) if field.type in unsigned else number


def _text(field: Any, random: Random) -> str:
    if random.random() < 0.005:
        return LARGE
    if "nstance" in field.name or random.random() < 0.3:
        return random.choice(IDS if random.random() < 0.95 else TEXTS)
    return random.choice(JSON if field.name == "value" else TEXTS)
