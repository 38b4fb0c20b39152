"""A real task hub in memory that holds whatever a test puts there, and what may be put there."""

from __future__ import annotations

from datetime import datetime

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.dashboard.hub_adapter import HubAdapter, status_of
from dts_emulator.dashboard.models import ENDED, InstanceQuery
from dts_emulator.engine.model import Entity, Instance
from dts_emulator.hub.leases import Kind, WorkerStream
from dts_emulator.hub.task_hub import TaskHub
from tests.dashboard.histories import OUTPUT, History, fan_out_fan_in, ns

NUMBERS: dict[str, pb.OrchestrationStatus] = {
    status_of(number): number
    for number in (
        pb.ORCHESTRATION_STATUS_PENDING,
        pb.ORCHESTRATION_STATUS_RUNNING,
        pb.ORCHESTRATION_STATUS_SUSPENDED,
        pb.ORCHESTRATION_STATUS_COMPLETED,
        pb.ORCHESTRATION_STATUS_FAILED,
        pb.ORCHESTRATION_STATUS_TERMINATED,
    )
}


def make_instance(
    instance_id: str = "run-1",
    *,
    name: str = "fan_out_fan_in_orchestrator",
    status: str = "COMPLETED",
    created: float = 0,
    took: float = 2.06,
    input: str | None = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]",  # noqa: A002, the engine's own word
    output: str | None = None,
    custom_status: str | None = None,
    failure: pb.TaskFailureDetails | None = None,
    history: History | None = None,
    parent_id: str | None = None,
    created_at: datetime | None = None,
    tags: dict[str, str] | None = None,
) -> Instance:
    """Make an instance that was created so many seconds after the histories' start."""
    begin = int(created_at.timestamp() * 1000) * 10**6 if created_at else ns(created)
    end = begin + ns(took) - ns(0)
    history = history or History()
    return Instance(
        instance_id=instance_id,
        name=name,
        execution_id=f"execution of {instance_id}",
        created_at=begin,
        updated_at=end,
        status=NUMBERS[status],
        completed_at=end if status in ENDED else None,
        input=input,
        output=output,
        custom_status=custom_status,
        failure=failure,
        history=history.raw,
        dispatch_times=history.dispatch_times,
        parent_id=parent_id,
        tags=tags or {},
    )


def finished_run(instance_id: str = "run-1", items: int = 10) -> Instance:
    """Make the instance that the quickstart's reader looks at."""
    numbers = str(list(range(1, items + 1)))
    return make_instance(instance_id, input=numbers, output=OUTPUT, history=fan_out_fan_in(items))


def running(
    instance_id: str = "run-1", *, unfinished: int = 6, status: str = "RUNNING"
) -> Instance:
    """Make an instance of ten items of which so many still run."""
    return make_instance(instance_id, status=status, history=fan_out_fan_in(unfinished=unfinished))


class ShownHub(HubAdapter):
    """What the dashboard sees of a real task hub, and what tests do to it.

    `workers` are connected that accept nothing; `waiting` work items wait.
    """

    def __init__(
        self, *instances: Instance, name: str = "default", workers: int = 1, waiting: int = 0
    ) -> None:
        self.real = TaskHub(name)
        super().__init__(self.real)
        for instance in instances:
            self.put(instance)
        for _ in range(workers):
            self.connect(WorkerStream(dict.fromkeys(Kind, 1), lambda *_: False))
        for number in range(waiting):
            self.real.offer(Kind.ACTIVITY, "process_work_item", "", number)

    def put(self, instance: Instance) -> None:
        """Add or replace an instance."""
        self.real.store.put(instance)

    def put_entity(self, entity: Entity) -> None:
        """Add or replace an entity."""
        self.real.store.put_entity(entity)

    def connect(self, stream: WorkerStream) -> None:
        """Connect a worker."""
        stream.record.connected_at = self.real.now() / 1e9
        self.real.leases.connect(stream)

    def has(self, instance_id: str) -> bool:
        """Return whether there is an instance with this ID."""
        return self.real.store.instance(instance_id) is not None

    def instances_count(self) -> int:
        """Return how many instances there are."""
        return sum(self.count_by_status(InstanceQuery(top_level=False)).values())

    def news(self, instance_id: str = "run-1") -> list[pb.HistoryEvent]:
        """Return what has arrived for an instance."""
        instance = self.real.store.instance(instance_id)
        assert instance is not None
        return instance.inbox

    def status(self, instance_id: str = "run-1") -> str:
        """Return an instance's status."""
        instance = self.real.store.instance(instance_id)
        assert instance is not None
        return status_of(instance.status)


def many() -> ShownHub:
    """Make a task hub with 120 instances, of which 12 have failed."""
    return ShownHub(
        *(
            make_instance(f"run-{i}", created=i, status="FAILED" if i % 10 == 0 else "COMPLETED")
            for i in range(120)
        )
    )


def family(parts: int = 5, items: int = 10, *, failed_item: int | None = None) -> list[Instance]:
    """Make an instance whose sub-orchestrations have each processed so many items.

    If an item has failed, its part has failed for that, and the whole for that part.
    """
    whole, made = History().turn(0.01), []
    for part in range(1, parts + 1):
        numbers = range((part - 1) * items + 1, part * items + 1)
        child_id, given = f"run-1:{part:04x}", f'{{"first": {numbers[0]}, "last": {numbers[-1]}}}'
        whole.child(0.02, part, child_id, given)
        history = History().turn(0.1 * part)
        for number, item in enumerate(numbers, start=1):
            history.scheduled(0.5, number, "process_work_item", str(item))
        for number, item in enumerate(numbers, start=1):
            if item == failed_item:
                history.failed(1, number, f"{item} is unlucky")
            else:
                history.completed(1, number, str(item * item))
        is_lost = failed_item in numbers
        if failed_item is not None and not is_lost:
            whole.child_completed(1.5 + 0.05 * part, part, "[]")
        message = f"{child_id}: Activity task #{(failed_item or 0) - numbers[0] + 1} failed"
        made.append(
            make_instance(
                child_id,
                created=0.02,
                status="FAILED" if is_lost else "COMPLETED",
                input=given,
                parent_id="run-1",
                history=history,
                failure=failed(message) if is_lost else None,
            )
        )
        if is_lost:
            whole.child_failed(1.9, part, message)
            problem = f"Sub-orchestration task #{part} failed: {message}"
    is_failed = failed_item is not None
    parent = make_instance(
        status="FAILED" if is_failed else "RUNNING",
        input=f'{{"first": 1, "last": {parts * items}}}',
        history=whole,
        failure=failed(problem) if is_failed else None,
    )
    return [parent, *made]


def failed(message: str) -> pb.TaskFailureDetails:
    """Return the details of a failed task as the SDK gives them."""
    return pb.TaskFailureDetails(errorType="durabletask.task.TaskFailedError", errorMessage=message)
