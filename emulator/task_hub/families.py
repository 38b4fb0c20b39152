"""Parents and sub-orchestrations: who waits for whom, and who goes with whom."""

from __future__ import annotations

from collections.abc import Iterator

import durabletask.internal.helpers as helpers
import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
from durabletask.testing.in_memory_backend import OrchestrationInstance

from emulator.task_hub.instances import Instances
from emulator.task_hub.records import Record, Watcher, copy_fields, execution_started


class Families(Instances):
    """Tells parents how their sub-orchestrations end, however long that takes."""

    def _process_create_sub_orchestration_action(
        self, instance: OrchestrationInstance, action: pb.OrchestratorAction
    ) -> None:
        request = action.createSubOrchestration
        super()._process_create_sub_orchestration_action(instance, action)
        created = instance.history[-1].subOrchestrationInstanceCreated
        copy_fields(request, created, "parentTraceContext")
        created.tags.update(request.tags)
        parent, child = self._record(instance), self._records[request.instanceId]
        if Watcher(instance.instance_id, parent.execution, action.id) not in child.watchers:
            return  # The ID is taken: the backend has told the parent.
        started = execution_started(child.instance.pending_events)
        copy_fields(request, started, "parentTraceContext")
        started.tags.update(request.tags)
        child.instance.tags = dict(request.tags) or None

    def _watch_sub_orchestration(
        self, parent_instance_id: str, sub_instance_id: str, task_id: int
    ) -> None:
        parent = self._record(self._instances[parent_instance_id])
        child = self._record(self._instances[sub_instance_id])
        child.parent_id = parent_instance_id
        parent.children.add(sub_instance_id)
        if child.is_untouched:
            started = execution_started(child.instance.pending_events)
            started.parentInstance.taskScheduledId = task_id
            started.parentInstance.name.value = parent.instance.name
            started.parentInstance.orchestrationInstance.instanceId = parent_instance_id
        watcher = Watcher(parent_instance_id, parent.execution, task_id)
        # After a rewind the parent may watch already what was under way before.
        if watcher not in child.watchers:
            child.watchers.append(watcher)
        self._notify_watchers(child)

    def _notify_waiters(self, instance_id: str) -> None:
        super()._notify_waiters(instance_id)
        record = self._records[instance_id]
        self._notify_watchers(record)
        termination = _recursive_termination(record.instance)
        if termination is not None:
            for child in list(self._children(record)):
                output = termination.input.value or None
                self._terminate_instance_internal(child.instance.instance_id, output, True)

    def _notify_watchers(self, record: Record) -> None:
        if not self._is_terminal_status(record.instance.status):
            return
        watchers, record.watchers = record.watchers, []
        for watcher in watchers:
            event = _sub_ended(record.instance, watcher.task_id)
            self._deliver(watcher.parent_id, watcher.execution, event)

    def _children(self, record: Record) -> Iterator[Record]:
        """Yield the sub-orchestrations of an instance that are still there."""
        for child_id in record.children:
            child = self._records.get(child_id)
            if child is not None and child.parent_id == record.instance.instance_id:
                yield child

    def PurgeInstances(
        self, request: pb.PurgeInstancesRequest, context: grpc.ServicerContext
    ) -> pb.PurgeInstancesResponse:
        """Forget ended instances and, where asked to, their sub-orchestrations."""
        with self._lock:
            before = len(self._instances)
            for instance_id in request.instanceBatch.instanceIds:
                one = pb.PurgeInstancesRequest(instanceId=instance_id)
                super().PurgeInstances(one, context)
            response = super().PurgeInstances(request, context)
            named = [*request.instanceBatch.instanceIds, request.instanceId]
            for instance_id in named if any(named) else list(self._records):
                record = self._records.get(instance_id)
                if record is not None and instance_id not in self._instances:
                    self._forget(record, request.recursive)
            response.deletedInstanceCount = before - len(self._instances)
            return response

    def _forget(self, record: Record, recursive: bool) -> None:
        """Drop what is left of a purged instance and, if asked to, its sub-orchestrations."""
        del self._records[record.instance.instance_id]
        parent = self._records.get(record.parent_id or "")
        if parent is not None:
            parent.children.discard(record.instance.instance_id)
        for child in list(self._children(record)) if recursive else []:
            if self._is_terminal_status(child.instance.status):
                del self._instances[child.instance.instance_id]
                self._forget(child, recursive)


def _recursive_termination(instance: OrchestrationInstance) -> pb.ExecutionTerminatedEvent | None:
    """Return the event that has ended the instance with its sub-orchestrations, if one has."""
    if instance.status != pb.ORCHESTRATION_STATUS_TERMINATED:
        return None
    terminations = [e.executionTerminated for e in instance.history]
    return next((termination for termination in terminations if termination.recurse), None)


def _sub_ended(sub: OrchestrationInstance, task_id: int) -> pb.HistoryEvent:
    if sub.status == pb.ORCHESTRATION_STATUS_COMPLETED:
        return helpers.new_sub_orchestration_completed_event(task_id, sub.output)
    event = helpers.new_sub_orchestration_failed_event(
        task_id, Exception(f"The sub-orchestration '{sub.instance_id}' was terminated.")
    )
    if sub.failure_details is not None:
        event.subOrchestrationInstanceFailed.failureDetails.CopyFrom(sub.failure_details)
    return event
