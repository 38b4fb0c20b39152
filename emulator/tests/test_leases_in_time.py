"""When a task hub looks at its leases again: never before they are over."""

from __future__ import annotations

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.hub.worker_api import Workers, worker_stream_from
from tests.processes import wait_until

# Times at which a grace of 0.05 s, added as a float, ends later than the same in whole nanoseconds.
TIMES = [1_790_371_269_849_576_330, 1_790_498_593_116_432_391, 1_790_280_928_754_111_609]


@pytest.mark.parametrize("begin", TIMES)
def test_an_item_that_rests_goes_on_when_the_timer_says_so(begin: int) -> None:
    time = [begin]
    hub = TaskHub("hub", lease_grace=0.05, clock=lambda: time[0])
    workers = Workers(hub)
    stream = worker_stream_from(pb.GetWorkItemsRequest())
    with hub.lock:
        hub.create_instance(_started())
        hub.leases.connect(stream)
        stream.outbox.get_nowait()
    workers.disconnect(stream)
    assert hub.leases.waiting() == 0
    due = hub.timers.next_due()
    assert due is not None
    time[0] = due
    hub.timers.wake()
    wait_until(lambda: hub.leases.waiting() == 1, "it waits for another worker", seconds=20)
    hub.close()


def _started() -> pb.ExecutionStartedEvent:
    instance = pb.OrchestrationInstance(instanceId="id")
    return pb.ExecutionStartedEvent(name="o", orchestrationInstance=instance)
