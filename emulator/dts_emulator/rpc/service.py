"""The RPCs of a task hub, in the protocol's order: read the request, validate it, respond.

An RPC that has no method here is UNIMPLEMENTED: CreateTaskHub and DeleteTaskHub, since task hubs
are named when the emulator starts, or created when a call names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue

from dts_emulator.engine.errors import InvalidError
from dts_emulator.engine.events import copy_fields, optional_string, time_of
from dts_emulator.engine.ids import check_entity_id
from dts_emulator.engine.model import Instance
from dts_emulator.engine.reruns import replaceable_statuses
from dts_emulator.hub.client_api import Clients
from dts_emulator.hub.limits import oversized
from dts_emulator.hub.messages import entity_metadata, history_chunks, instance_response
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.hub.waiters import Answer, Waiter
from dts_emulator.hub.worker_api import Workers, worker_stream_from
from dts_emulator.rpc import queries

Call = grpc.ServicerContext

# Sends a message of a deferred answer; None ends the call.
Reply = Callable[[pb.GetInstanceResponse | None], None]

# The protocol's limit on the IDs in one request.
MAX_IDS = 500


class Service:
    """Answers the calls to one task hub. A RefusedError becomes the call's status."""

    def __init__(self, hub: TaskHub) -> None:
        self._hub = hub
        self._clients = Clients(hub)
        self._workers = Workers(hub)

    def Hello(self, _: Empty, __: Call) -> Empty:
        """Confirm that the scheduler responds."""
        return Empty()

    def StartInstance(
        self, request: pb.CreateInstanceRequest, _: Call
    ) -> pb.CreateInstanceResponse:
        """Create an instance; one that is scheduled for later starts then."""
        self._refuse_oversized(request)
        # Some SDKs send the epoch for an immediate start.
        scheduled_start = time_of(request, "scheduledStartTimestamp") or None
        started = pb.ExecutionStartedEvent(
            name=request.name,
            orchestrationInstance=pb.OrchestrationInstance(instanceId=request.instanceId),
            tags=request.tags,
        )
        copy_fields(request, started, "version", "input", "parentTraceContext")
        instance_id = self._clients.start(started, scheduled_start, replaceable_statuses(request))
        return pb.CreateInstanceResponse(instanceId=instance_id)

    def GetInstance(self, request: pb.GetInstanceRequest, _: Call) -> pb.GetInstanceResponse:
        """Return an instance's state, or that it does not exist."""
        with self._hub.durable_read():
            instance = self._clients.find(request.instanceId)
            if instance is None:
                return pb.GetInstanceResponse(exists=False)
            return instance_response(instance, request.getInputsAndOutputs)

    def RewindInstance(
        self, request: pb.RewindInstanceRequest, _: Call
    ) -> pb.RewindInstanceResponse:
        """Resume a failed instance from before its failure."""
        self._refuse_oversized(request)
        self._clients.rewind(request.instanceId, optional_string(request, "reason"))
        return pb.RewindInstanceResponse()

    def RestartInstance(
        self, request: pb.RestartInstanceRequest, _: Call
    ) -> pb.RestartInstanceResponse:
        """Run an instance again with the same input, version and tags."""
        instance_id = self._clients.restart(request.instanceId, request.restartWithNewInstanceId)
        return pb.RestartInstanceResponse(instanceId=instance_id)

    def WaitForInstanceStart(
        self, request: pb.GetInstanceRequest, context: Call, reply: Reply
    ) -> None:
        """Answer when the instance has started."""
        self._wait(request, context, reply, _has_started)

    def WaitForInstanceCompletion(
        self, request: pb.GetInstanceRequest, context: Call, reply: Reply
    ) -> None:
        """Answer when the instance has ended."""
        self._wait(request, context, reply, _has_ended)

    def RaiseEvent(self, request: pb.RaiseEventRequest, _: Call) -> pb.RaiseEventResponse:
        """Send an external event; an instance that has ended ignores it."""
        self._refuse_oversized(request)
        raised = pb.EventRaisedEvent(name=request.name)
        copy_fields(request, raised, "input")
        self._clients.raise_event(request.instanceId, raised)
        return pb.RaiseEventResponse()

    def TerminateInstance(self, request: pb.TerminateRequest, _: Call) -> pb.TerminateResponse:
        """Terminate an instance that has not ended."""
        self._refuse_oversized(request)
        output = optional_string(request, "output")
        self._clients.terminate(request.instanceId, output, request.recursive)
        return pb.TerminateResponse()

    def SuspendInstance(self, request: pb.SuspendRequest, _: Call) -> pb.SuspendResponse:
        """Suspend an instance."""
        self._refuse_oversized(request)
        self._clients.suspend(request.instanceId, optional_string(request, "reason"))
        return pb.SuspendResponse()

    def ResumeInstance(self, request: pb.ResumeRequest, _: Call) -> pb.ResumeResponse:
        """Resume a suspended instance."""
        self._refuse_oversized(request)
        self._clients.resume(request.instanceId, optional_string(request, "reason"))
        return pb.ResumeResponse()

    def QueryInstances(
        self, request: pb.QueryInstancesRequest, _: Call
    ) -> pb.QueryInstancesResponse:
        """List instances by creation time, in pages that fit into one message."""
        with self._hub.durable_read():
            return queries.instances(self._hub.store, request.query)

    def ListInstanceIds(
        self, request: pb.ListInstanceIdsRequest, _: Call
    ) -> pb.ListInstanceIdsResponse:
        """List the IDs of ended instances by completion time, in pages."""
        with self._hub.durable_read():
            return queries.instance_ids(self._hub.store, request)

    def PurgeInstances(
        self, request: pb.PurgeInstancesRequest, _: Call
    ) -> pb.PurgeInstancesResponse:
        """Delete ended instances and, on request, their sub-orchestrations."""
        is_complete = True
        if request.HasField("purgeInstanceFilter"):
            wanted, timeout = queries.purge_filter(request.purgeInstanceFilter)
            count, is_complete = self._clients.purge_all(wanted, request.recursive, timeout)
        elif request.instanceId.startswith("@") and not request.isOrchestration:
            count = self._clients.purge_entity(request.instanceId)
        else:
            ids = [request.instanceId] if request.instanceId else request.instanceBatch.instanceIds
            _refuse_too_many(len(ids))
            count = self._clients.purge(ids, request.recursive)
        return pb.PurgeInstancesResponse(
            deletedInstanceCount=count, isComplete=BoolValue(value=is_complete)
        )

    def GetWorkItems(self, request: pb.GetWorkItemsRequest, context: Call) -> Iterator[pb.WorkItem]:
        """Stream work items to a worker, up to the number that it can hold."""
        stream = worker_stream_from(request, context.peer())
        if context.add_callback(lambda: self._workers.disconnect(stream)):
            yield from self._workers.connect(stream)

    def CompleteActivityTask(
        self, request: pb.ActivityResponse, _: Call
    ) -> pb.CompleteTaskResponse:
        """Accept an activity's first result."""
        self._workers.complete_activity(request)
        return pb.CompleteTaskResponse()

    def CompleteOrchestratorTask(
        self, request: pb.OrchestratorResponse, _: Call
    ) -> pb.CompleteTaskResponse:
        """Accept the first answer to an orchestrator's turn."""
        self._workers.complete_turn(request)
        return pb.CompleteTaskResponse()

    def CompleteEntityTask(self, request: pb.EntityBatchResult, _: Call) -> pb.CompleteTaskResponse:
        """Accept an entity's new state and deliver the results of its operations."""
        self._workers.complete_batch(request)
        return pb.CompleteTaskResponse()

    def StreamInstanceHistory(
        self, request: pb.StreamInstanceHistoryRequest, _: Call
    ) -> Iterator[pb.HistoryChunk]:
        """Stream an instance's history, in chunks that fit into one message."""
        # A worker that runs a turn fetches the history that its work item omits.
        reading = self._hub.lock if request.forWorkItemProcessing else self._hub.durable_read()
        with reading:
            events = self._clients.history(request.instanceId)
        return history_chunks(events)

    def SignalEntity(self, request: pb.SignalEntityRequest, _: Call) -> pb.SignalEntityResponse:
        """Queue an operation of an entity, now or for later."""
        self._refuse_oversized(request)
        entity_id = check_entity_id(request.instanceId)
        self._clients.signal(entity_id, request, time_of(request, "scheduledTime"))
        return pb.SignalEntityResponse()

    def GetEntity(self, request: pb.GetEntityRequest, _: Call) -> pb.GetEntityResponse:
        """Return an entity; one without state does not exist."""
        with self._hub.durable_read():
            entity = self._clients.entity(request.instanceId)
            if entity is None:
                return pb.GetEntityResponse(exists=False)
            metadata = entity_metadata(entity, request.includeState)
        return pb.GetEntityResponse(exists=True, entity=metadata)

    def QueryEntities(self, request: pb.QueryEntitiesRequest, _: Call) -> pb.QueryEntitiesResponse:
        """List entities, in pages that fit into one message; those without state if asked to."""
        with self._hub.durable_read():
            return queries.entities(self._hub.store, request.query)

    def CleanEntityStorage(
        self, _: pb.CleanEntityStorageRequest, __: Call
    ) -> pb.CleanEntityStorageResponse:
        """Do nothing: the emulator removes empty entities and orphaned locks by itself."""
        return pb.CleanEntityStorageResponse()

    def AbandonTaskActivityWorkItem(
        self, request: pb.AbandonActivityTaskRequest, _: Call
    ) -> pb.AbandonActivityTaskResponse:
        """Requeue an activity immediately, for another worker."""
        self._workers.abandon(request.completionToken)
        return pb.AbandonActivityTaskResponse()

    def AbandonTaskOrchestratorWorkItem(
        self, request: pb.AbandonOrchestrationTaskRequest, _: Call
    ) -> pb.AbandonOrchestrationTaskResponse:
        """Requeue an orchestrator's turn immediately, for another worker."""
        self._workers.abandon(request.completionToken)
        return pb.AbandonOrchestrationTaskResponse()

    def AbandonTaskEntityWorkItem(
        self, request: pb.AbandonEntityTaskRequest, _: Call
    ) -> pb.AbandonEntityTaskResponse:
        """Requeue an entity's batch of operations immediately, for another worker."""
        self._workers.abandon(request.completionToken)
        return pb.AbandonEntityTaskResponse()

    def SkipGracefulOrchestrationTerminations(
        self,
        request: pb.SkipGracefulOrchestrationTerminationsRequest,
        _: Call,
    ) -> pb.SkipGracefulOrchestrationTerminationsResponse:
        """Terminate instances without their workers; return those that this does not work for."""
        ids = request.instanceBatch.instanceIds
        _refuse_too_many(len(ids))
        left = self._clients.skip_termination(ids, optional_string(request, "reason"))
        return pb.SkipGracefulOrchestrationTerminationsResponse(unterminatedInstanceIds=left)

    def _wait(
        self,
        request: pb.GetInstanceRequest,
        context: Call,
        reply: Reply,
        is_enough: Callable[[Instance], bool],
    ) -> None:
        def send(answer: Answer) -> None:
            if isinstance(answer, str):
                context.set_code(grpc.StatusCode.UNAVAILABLE)
                context.set_details(answer)
            else:
                reply(answer)
            reply(None)

        waiter = Waiter(is_enough, request.getInputsAndOutputs, send, context.peer())
        stop = self._clients.wait(request.instanceId, waiter)
        # gRPC calls it when the client disconnects and at the client's deadline.
        if not context.add_callback(stop):
            stop()

    def _refuse_oversized(self, request: Message) -> None:
        problem = oversized(request, self._hub.max_payload_bytes)
        if problem:
            raise InvalidError(problem)


def _refuse_too_many(count: int) -> None:
    if count > MAX_IDS:
        raise InvalidError(f"The request has {count} instance IDs; the limit is {MAX_IDS}.")


def _has_started(instance: Instance) -> bool:
    return instance.status != pb.ORCHESTRATION_STATUS_PENDING


def _has_ended(instance: Instance) -> bool:
    return instance.has_ended
