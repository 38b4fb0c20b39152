"""Lists of instances and entities, in pages that fit into one message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.errors import InvalidError
from dts_emulator.engine.events import time_of
from dts_emulator.engine.model import Entity
from dts_emulator.hub.messages import ANSWER_BYTES, entity_metadata, orchestration_state
from dts_emulator.store import EntityFilter, Filter, Key, Store

PAGE_SIZE = 1000
IDS_PAGE_SIZE = 100

# The last moment of the year 9999 in nanoseconds since 1970 has so many.
TIME_DIGITS = 21

Item = TypeVar("Item")
Part = TypeVar("Part", pb.OrchestrationState, pb.EntityMetadata)


def instances(store: Store, query: pb.InstanceQuery) -> pb.QueryInstancesResponse:
    """Return a page of instances by creation time.

    Raises:
        InvalidError: a time or the continuation token is invalid.
    """
    wanted = Filter(
        statuses=frozenset(query.runtimeStatus),
        created_from=time_of(query, "createdTimeFrom"),
        created_to=time_of(query, "createdTimeTo"),
        prefix=query.instanceIdPrefix.value,
    )
    after = _key(query.continuationToken.value, "continuationToken")
    size = _page_size(query.maxInstanceCount)
    found = store.by_creation(wanted, after, size + 1)
    states = _fitting(
        found[:size], lambda one: orchestration_state(one, query.fetchInputsAndOutputs)
    )
    response = pb.QueryInstancesResponse(orchestrationState=states)
    if len(states) < len(found):
        last = found[len(states) - 1]
        response.continuationToken.value = f"{last.created_at}|{last.instance_id}"
    return response


def instance_ids(store: Store, request: pb.ListInstanceIdsRequest) -> pb.ListInstanceIdsResponse:
    """Return a page of the IDs of ended instances, by completion time.

    Raises:
        InvalidError: a time or the last key is invalid.
    """
    wanted = Filter(
        statuses=frozenset(request.runtimeStatus),
        completed_from=time_of(request, "completedTimeFrom"),
        completed_to=time_of(request, "completedTimeTo"),
    )
    after = _key(request.lastInstanceKey.value, "lastInstanceKey")
    size = min(request.pageSize if request.pageSize > 0 else IDS_PAGE_SIZE, PAGE_SIZE)
    found = store.by_completion(wanted, after, size + 1)
    page = found[:size]
    response = pb.ListInstanceIdsResponse(instanceIds=[one.instance_id for one in page])
    if len(page) < len(found):
        response.lastInstanceKey.value = f"{page[-1].completed_at}|{page[-1].instance_id}"
    return response


def purge_filter(wanted: pb.PurgeInstanceFilter) -> tuple[Filter, float | None]:
    """Return the filter of a purge, and its time limit in seconds (None: unlimited).

    Raises:
        InvalidError: a time is invalid.
    """
    timeout: float | None = None
    if wanted.HasField("timeout"):
        timeout = wanted.timeout.seconds + wanted.timeout.nanos / 1e9
    found = Filter(
        statuses=frozenset(wanted.runtimeStatus),
        created_from=time_of(wanted, "createdTimeFrom"),
        created_to=time_of(wanted, "createdTimeTo"),
    )
    return found, timeout


def entities(store: Store, query: pb.EntityQuery) -> pb.QueryEntitiesResponse:
    """Return a page of entities by ID.

    Raises:
        InvalidError: a time is invalid.
    """
    wanted = EntityFilter(
        prefix=query.instanceIdStartsWith.value,
        modified_from=time_of(query, "lastModifiedFrom"),
        modified_to=time_of(query, "lastModifiedTo"),
        with_stateless=query.includeTransient,
    )
    size = _page_size(query.pageSize.value)
    found: Sequence[Entity] = store.entities(wanted, query.continuationToken.value, size + 1)
    listed = _fitting(found[:size], lambda one: entity_metadata(one, query.includeState))
    response = pb.QueryEntitiesResponse(entities=listed)
    if len(listed) < len(found):
        response.continuationToken.value = found[len(listed) - 1].entity_id
    return response


def _page_size(wanted: int) -> int:
    return min(wanted, PAGE_SIZE) if wanted > 0 else PAGE_SIZE


def _fitting(found: Sequence[Item], describe: Callable[[Item], Part]) -> list[Part]:
    """Describe as many as fit into an answer, at least one if there is one."""
    parts: list[Part] = []
    size = 0
    for one in found:
        part = describe(one)
        size += part.ByteSize()
        if parts and size > ANSWER_BYTES:
            break
        parts.append(part)
    return parts


def _key(token: str, what: str) -> Key | None:
    """Return the key of the previous page's last entry, None for the first page."""
    if not token:
        return None
    time, _, instance_id = token.partition("|")
    if not (time.isascii() and time.isdecimal() and len(time) <= TIME_DIGITS and instance_id):
        raise InvalidError(f"Invalid {what}.")
    return int(time), instance_id
