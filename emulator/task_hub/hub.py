"""What clients and the dashboard ask of a task hub: waits, queries, histories, actions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar, cast

import durabletask.internal.helpers as helpers
import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
from durabletask import history
from durabletask.testing.in_memory_backend import OrchestrationInstance, StateWaiter

from emulator.limits import MAX_PAYLOAD_BYTES
from emulator.task_hub.entities import Entities
from emulator.views import ActionRefusedError, InstanceDetail, InstanceView

# Answers stay well below gRPC's default limit of 4 MiB on what a client receives.
ANSWER_BYTES = 2 * 1024 * 1024
QUERY_PAGE_SIZE = 1000

Answer = TypeVar("Answer", pb.QueryInstancesResponse, pb.QueryEntitiesResponse)


class TaskHub(Entities):
    """A task hub that any number of workers and clients use at the same time.

    Its methods in CamelCase are the RPCs of the service, the others what the dashboard uses.

    Args:
        name: the name that callers put into the `taskhub` metadata.
        lease_grace: seconds that a worker whose stream has ended has to complete its items.
        max_payload_bytes: the largest input, output, event or custom status; 0 = no limit.
    """

    def __init__(
        self, name: str, *, lease_grace: float = 5.0, max_payload_bytes: int = MAX_PAYLOAD_BYTES
    ) -> None:
        super().__init__(lease_grace, max_payload_bytes)
        self.name = name

    def close(self) -> None:
        """End every worker's stream and every client's wait."""
        self._timers.close()
        with self._lock:
            self._shutdown_event.set()
            self._leases.close()
            for waiters in self._state_waiters.values():
                for waiter in waiters:
                    waiter.event.set()

    # Waiting

    def WaitForInstanceStart(
        self, request: pb.GetInstanceRequest, context: grpc.ServicerContext
    ) -> pb.GetInstanceResponse:
        """Answer when the instance has started."""
        return self._wait(request, context, _has_started)

    def WaitForInstanceCompletion(
        self, request: pb.GetInstanceRequest, context: grpc.ServicerContext
    ) -> pb.GetInstanceResponse:
        """Answer when the instance has ended."""
        return self._wait(request, context, self._is_terminal_status_check)

    def _wait(
        self,
        request: pb.GetInstanceRequest,
        context: grpc.ServicerContext,
        predicate: Callable[[OrchestrationInstance], bool],
    ) -> pb.GetInstanceResponse:
        waiter = StateWaiter(predicate)
        with self._lock:
            instance = self._instances.get(request.instanceId)
            if instance is not None and predicate(instance):
                return self._build_instance_response(instance, request.getInputsAndOutputs)
            self._state_waiters.setdefault(request.instanceId, []).append(waiter)
        # The callback comes when the client goes away, and at the deadline it has set.
        if context.add_callback(waiter.event.set) and not self._shutdown_event.is_set():
            waiter.event.wait()
        with self._lock:
            if waiter.result is not None:
                return self._build_instance_response(waiter.result, request.getInputsAndOutputs)
            self._stop_waiting(request.instanceId, waiter)
        return context.abort(grpc.StatusCode.UNAVAILABLE, "The emulator is stopping.")

    def _stop_waiting(self, instance_id: str, waiter: StateWaiter) -> None:
        waiters = [w for w in self._state_waiters.pop(instance_id, []) if w is not waiter]
        if waiters:
            self._state_waiters[instance_id] = waiters

    # Asking

    def SignalEntity(
        self, request: pb.SignalEntityRequest, context: grpc.ServicerContext
    ) -> pb.SignalEntityResponse:
        """Queue an operation of an entity."""
        self._refuse_oversized(request, context)
        return super().SignalEntity(request, context)

    def QueryInstances(
        self, request: pb.QueryInstancesRequest, context: grpc.ServicerContext
    ) -> pb.QueryInstancesResponse:
        """List instances, in pages that fit into one message."""

        def page(size: int) -> pb.QueryInstancesResponse:
            request.query.maxInstanceCount = size
            return super(TaskHub, self).QueryInstances(request, context)

        return _page_that_fits(page, request.query.maxInstanceCount)

    def QueryEntities(
        self, request: pb.QueryEntitiesRequest, context: grpc.ServicerContext
    ) -> pb.QueryEntitiesResponse:
        """List entities, in pages that fit into one message; those without state if asked to."""
        wants_all, request.query.includeTransient = request.query.includeTransient, True

        def page(size: int) -> pb.QueryEntitiesResponse:
            request.query.pageSize.value = size
            return super(TaskHub, self).QueryEntities(request, context)

        with self._lock:
            response = _page_that_fits(page, request.query.pageSize.value)
            listed = list(response.entities)
            del response.entities[:]
            response.entities.extend(
                found
                for found in listed
                if wants_all or self._entities[found.instanceId].serialized_state is not None
            )
        return response

    def TerminateInstance(
        self, request: pb.TerminateRequest, context: grpc.ServicerContext
    ) -> pb.TerminateResponse:
        """Terminate an instance that has not ended."""
        self._refuse_oversized(request, context)
        return super().TerminateInstance(request, context)

    def StreamInstanceHistory(
        self, request: pb.StreamInstanceHistoryRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.HistoryChunk]:
        """Stream an instance's history, in chunks that fit into one message."""
        with self._lock:
            instance = self._instances.get(request.instanceId)
            events = list(instance.history) if instance is not None else None
        if events is None:
            message = f"Orchestration instance '{request.instanceId}' not found"
            context.abort(grpc.StatusCode.NOT_FOUND, message)
        chunk = pb.HistoryChunk()
        size = 0
        for event in events:
            size += event.ByteSize()
            if size > ANSWER_BYTES and chunk.events:
                yield chunk
                chunk, size = pb.HistoryChunk(), event.ByteSize()
            chunk.events.append(event)
        yield chunk

    # For the dashboard: emulator.views.HubView

    def worker_count(self) -> int:
        """Return how many workers are connected."""
        with self._lock:
            return self._leases.streams

    def waiting_work_items(self) -> int:
        """Return how many work items no worker has taken yet."""
        with self._lock:
            return self._leases.waiting()

    def count_by_status(self) -> dict[str, int]:
        """Count the instances by status."""
        with self._lock:
            return dict(Counter(_status(instance) for instance in self._instances.values()))

    def instances(
        self, *, status: str | None = None, search: str = "", offset: int = 0, limit: int = 50
    ) -> tuple[list[InstanceView], int]:
        """Return a page of the instances that match, newest first, and how many match."""
        wanted = search.casefold()
        with self._lock:
            matching = [
                instance
                for instance in self._instances.values()
                if status in (None, _status(instance))
                and wanted in f"{instance.instance_id}\n{instance.name}".casefold()
            ]
            matching.sort(key=lambda instance: instance.created_at, reverse=True)
            return [self._view(i) for i in matching[offset : offset + limit]], len(matching)

    def instance(self, instance_id: str) -> InstanceDetail | None:
        """Return one instance with its history, or None."""
        with self._lock:
            instance = self._instances.get(instance_id)
            if instance is None:
                return None
            view = self._view(instance)
            events = list(instance.history)
        failure = instance.failure_details
        return InstanceDetail(
            instance=view,
            input=instance.input,
            output=instance.output,
            custom_status=instance.custom_status or None,
            failure=None if failure is None else helpers.failure_details_from_protobuf(failure),
            history=[history._from_protobuf(event) for event in events],
        )

    def _view(self, instance: OrchestrationInstance) -> InstanceView:
        ended = self._is_terminal_status(instance.status)
        return InstanceView(
            instance_id=instance.instance_id,
            name=instance.name,
            status=_status(instance),
            created_at=instance.created_at,
            last_updated_at=instance.last_updated_at,
            completed_at=instance.completed_at if ended else None,
            version=instance.version,
            parent_id=self._record(instance).parent_id,
        )

    # Actions of the dashboard

    def suspend(self, instance_id: str, reason: str) -> None:
        """Suspend a running instance."""
        self._require(instance_id, "PENDING", "RUNNING")
        text = helpers.get_string_value(reason or None)
        self.SuspendInstance(pb.SuspendRequest(instanceId=instance_id, reason=text), _LOCAL)

    def resume(self, instance_id: str, reason: str) -> None:
        """Resume a suspended instance."""
        self._require(instance_id, "SUSPENDED")
        text = helpers.get_string_value(reason or None)
        self.ResumeInstance(pb.ResumeRequest(instanceId=instance_id, reason=text), _LOCAL)

    def terminate(self, instance_id: str, reason: str) -> None:
        """Terminate an instance that has not ended, and its sub-orchestrations."""
        self._require(instance_id, "PENDING", "RUNNING", "SUSPENDED")
        output = helpers.get_string_value(json.dumps(reason) if reason else None)
        request = pb.TerminateRequest(instanceId=instance_id, output=output, recursive=True)
        self.TerminateInstance(request, _LOCAL)

    def restart(self, instance_id: str) -> str:
        """Run an ended instance again under a new ID; return that ID."""
        self._require(instance_id, *_ENDED)
        request = pb.RestartInstanceRequest(instanceId=instance_id, restartWithNewInstanceId=True)
        return self.RestartInstance(request, _LOCAL).instanceId

    def purge(self, instance_id: str) -> None:
        """Forget an ended instance and its sub-orchestrations."""
        self._require(instance_id, *_ENDED)
        request = pb.PurgeInstancesRequest(instanceId=instance_id, recursive=True)
        self.PurgeInstances(request, _LOCAL)

    def raise_event(self, instance_id: str, name: str, data: str) -> None:
        """Send an external event with `data`, which is JSON text, to an instance."""
        self._require(instance_id, "PENDING", "RUNNING", "SUSPENDED")
        text = helpers.get_string_value(data or None)
        request = pb.RaiseEventRequest(instanceId=instance_id, name=name, input=text)
        self.RaiseEvent(request, _LOCAL)

    def _require(self, instance_id: str, *statuses: str) -> None:
        with self._lock:
            status = _status(self._instances[instance_id])
        if status not in statuses:
            raise ActionRefusedError(f"This cannot be done to an instance that is {status}.")


class _LocalCall:
    """The context of an RPC that the dashboard makes inside this process."""

    def abort(self, _: grpc.StatusCode, details: str) -> NoReturn:
        raise ActionRefusedError(details)


_LOCAL = cast(grpc.ServicerContext, _LocalCall())

_ENDED = ("COMPLETED", "FAILED", "TERMINATED")


def _page_that_fits(page: Callable[[int], Answer], wanted: int) -> Answer:
    """Return `page(size)` for the largest size, at most the one wanted, that fits an answer."""
    size = min(wanted or QUERY_PAGE_SIZE, QUERY_PAGE_SIZE)
    while (response := page(size)).ByteSize() > ANSWER_BYTES and size > 1:
        size //= 2
    return response


def _status(instance: OrchestrationInstance) -> str:
    return pb.OrchestrationStatus.Name(instance.status).removeprefix("ORCHESTRATION_STATUS_")


def _has_started(instance: OrchestrationInstance) -> bool:
    return instance.status != pb.ORCHESTRATION_STATUS_PENDING
