"""Random messages of the protocol: empty, huge, wrong, and often nearly right."""

from __future__ import annotations

from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import StringValue

INSTANCES = ["a", "b", "c"]
ENTITIES = ["@e@k", "@e@l", "@E@"]
TEXTS = ["", "x", "@", "@e", "a/b", "1|a", "9" * 30, "é\n\t\0", "\N{GRINNING FACE}", "x" * 101]
JSON = ["1", '"x"', "[1, 2]", "null", "{", '"\\ud800"', "[" * 500, "1e400"]
LARGE = "x" * 1_100_000
INTEGERS = [0, 0, 1, 2, 3, 7, -1, 99, 500, 2**31 - 1, -(2**31)]
SECONDS = [0, 1, 1_700_000_000, 4_000_000_000, 253_402_300_799, -62_135_596_800]
NO_SECONDS = [2**62, -(2**62), 253_402_300_800]
NANOS = [0] * 20 + [5, 999_999_999, 10**9, -1]

# How deep a message may be made, and how often a field is set.
DEPTH = 6
LIKELIHOOD = 0.6

UNSIGNED = (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64)
WIDE = (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64)


def random_message(kind: type[Message], random: Random, depth: int = 0) -> Any:
    """Return a message in which anything may be set to anything."""
    message = kind()
    if isinstance(message, Timestamp):
        message.seconds = random.choice(SECONDS if random.random() < 0.95 else NO_SECONDS)
        message.nanos = random.choice(NANOS)
        return message
    fields: list[Any] = list(kind.DESCRIPTOR.fields)
    # Of those that exclude each other, the last one counts.
    random.shuffle(fields)
    for field in fields:
        of_many = field.containing_oneof is not None and len(field.containing_oneof.fields) > 1
        if of_many or random.random() < LIKELIHOOD / (1 + depth / 4):
            _set(message, field, random, depth)
    return message


def _set(message: Message, field: Any, random: Random, depth: int) -> None:
    target = getattr(message, field.name)
    if field.message_type is None:
        if field.is_repeated:
            count = random.choice([0, 1, 1, 2, 2, 600])
            target.extend(_scalar(field, random) for _ in range(count))
        else:
            setattr(message, field.name, _scalar(field, random))
    elif field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].message_type is None:
            target[random.choice(TEXTS)] = random.choice(TEXTS)
    elif isinstance(target, StringValue):
        target.value = _text(field.name, random)
    elif depth < DEPTH:
        kind = GetMessageClass(field.message_type)
        for _ in range(random.randrange(4) if field.is_repeated else 1):
            made = random_message(kind, random, depth + 1)
            (target.add() if field.is_repeated else target).CopyFrom(made)


def _scalar(field: Any, random: Random) -> Any:
    if field.type == FieldDescriptor.TYPE_BOOL:
        return random.random() < 0.5
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text(field.name, random)
    if field.type in (FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_DOUBLE):
        return field.default_value
    if field.type == FieldDescriptor.TYPE_ENUM:
        return random.choice([*field.enum_type.values_by_number, 99])
    number = random.choice(INTEGERS + ([2**62] if field.type in WIDE else []))
    return abs(number) if field.type in UNSIGNED else number


def _text(name: str, random: Random) -> str:
    """Return a text for a field of this name, mostly one that means something there."""
    chance = random.random()
    if chance < 0.003:
        return LARGE
    if chance < 0.05:
        return random.choice(TEXTS)
    if name in ("targetInstanceId", "lockSet"):
        return random.choice(ENTITIES)
    if "nstanceId" in name:
        return random.choice(INSTANCES if random.random() < 0.9 else ENTITIES)
    if name in ("criticalSectionId", "requestId"):
        return random.choice(INSTANCES)
    return random.choice(JSON if random.random() < 0.5 else TEXTS)
