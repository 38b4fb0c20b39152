"""A task hub: engine, leases, timers, waiters and store under one lock."""

from __future__ import annotations

import itertools
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine import effects as fx
from dts_emulator.engine import entities, instances, recovery
from dts_emulator.engine.errors import InvalidError, UnavailableError
from dts_emulator.engine.events import MICROSECOND, SECOND
from dts_emulator.engine.model import Activity, Entity, Instance, Timer
from dts_emulator.engine.result_batching import batching_delay
from dts_emulator.hub.delivery import Delivery
from dts_emulator.hub.leases import Kind, Leases, WorkerStream, WorkItem
from dts_emulator.hub.limits import MAX_PAYLOAD_BYTES
from dts_emulator.hub.timers import Timers
from dts_emulator.hub.waiters import Waiters
from dts_emulator.store import OrphanedActivity, Store
from dts_emulator.store.memory import MemoryStore

logger = logging.getLogger("emulator")

Effects = Iterable[fx.Effect]


@dataclass(frozen=True)
class BatchingDelayOver:
    """The wait of a turn for further results is over."""

    instance_id: str


class LeasesExpire:
    """The rest of some work items is over."""


class TaskHub:
    """A task hub that any number of workers and clients use at the same time.

    Args:
        name: the name that callers put into the `taskhub` metadata.
        lease_grace: seconds in which a disconnected worker can still complete its items.
        max_payload_bytes: the largest input, output, event or custom status; 0 = no limit.
        store: where the state is kept; by default in memory.
        clock: returns the time in nanoseconds since 1970.
        on_idle: called when the task hub may have become idle.
        check_determinism: whether each turn runs twice, to compare the answers.
    """

    def __init__(
        self,
        name: str,
        *,
        lease_grace: float = 5.0,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        store: Store | None = None,
        clock: Callable[[], int] = time.time_ns,
        on_idle: Callable[[], None] = lambda: None,
        check_determinism: bool = False,
    ) -> None:
        self.name = name
        self.check_determinism = check_determinism
        self.max_payload_bytes = max_payload_bytes
        self.now = clock
        self.store = store or MemoryStore()
        self.lock = self.store.lock
        # A worker may still answer with a completion token of an earlier emulator.
        first_token = random.SystemRandom().getrandbits(60)
        self.leases = Leases(lease_grace, itertools.count(first_token))
        self.waiters = Waiters(self.store.when_flushed)
        self.timers = Timers(self._fire, clock, on_idle)
        self._on_idle = on_idle
        self.is_closed = False
        self._turns: dict[str, WorkItem] = {}
        self._batches: dict[str, WorkItem] = {}
        # By the identity of the event that has scheduled it.
        self._activities: dict[int, WorkItem] = {}
        self._batching: set[str] = set()
        self._delivery = Delivery(self.store, clock)
        with self.lock:
            self._recover()

    def _recover(self) -> None:
        """Restore the work that was in progress when the last emulator stopped."""
        for instance in self.store.active():
            self.apply(recovery.effects_after_restart(instance))
        for orphan in self.store.orphans():
            self.offer_activity(orphan.activity, orphan.version)
        for entity in self.store.active_entities():
            self.change_entity(entity.entity_id, entities.advance)
        for timer in self.store.timers():
            self.timers.set(timer.due, timer.target, timer)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock for a change, and save it before the block ends.

        Raises:
            UnavailableError: nothing can be saved at present.
        """
        self.store.ensure_writable()
        with self.durable_read():
            yield

    @contextmanager
    def durable_read(self) -> Iterator[None]:
        """Hold the lock to read state for an answer, and save that state before the block ends.

        Raises:
            UnavailableError: it cannot be saved at present, so the client must not see it.
        """
        try:
            with self.lock:
                yield
        finally:
            self.store.flush()

    def close(self) -> None:
        """End every worker's stream and every client's wait."""
        self.timers.close()
        with self.lock:
            self.is_closed = True
            self.leases.close()
            self.waiters.close()

    # Instances and entities. All of the following is called under the lock.

    def create_instance(
        self, started: pb.ExecutionStartedEvent, scheduled_start: int | None = None
    ) -> None:
        """Create an instance, in place of an existing one with its ID."""
        self.apply(self._delivery.create(started, scheduled_start))

    def delete_instance(self, instance: Instance) -> None:
        """Delete an instance and cancel its pending work."""
        self.apply(self._delivery.delete(instance))

    def change(
        self, instance: Instance, rule: Callable[..., Sequence[fx.Effect]], *args: object
    ) -> None:
        """Change an instance by a rule of the engine, and apply the effects."""
        effects = rule(instance, *args, self.now())
        self.store.put(instance)
        self.apply(effects)

    def change_entity(
        self, entity_id: str, rule: Callable[..., Sequence[fx.Effect]], *args: object
    ) -> None:
        """Change an entity by a rule of the engine, and apply the effects."""
        entity = self.store.entity(entity_id) or Entity(entity_id, self.now())
        effects = rule(entity, *args, self.now())
        self.put_entity(entity)
        self.apply(effects)

    def put_entity(self, entity: Entity) -> None:
        """Save an entity, or delete it if it is empty."""
        self._delivery.put_entity(entity)

    def apply(self, effects: Effects) -> None:
        """Apply effects and all that follow from them."""
        todo = deque(effects)
        while todo:
            effect = todo.popleft()
            if not isinstance(effect, fx.StateEffect):
                self._apply_to_hub(effect)
                continue
            try:
                todo.extend(self._delivery.deliver(effect))
            except UnavailableError as error:
                # The other effects must not be lost with this one, whose target is damaged.
                logger.error(
                    "Dropped %s because its target is unreadable: %s", type(effect).__name__, error
                )

    def _apply_to_hub(self, effect: fx.HubEffect) -> None:
        match effect:
            case fx.OfferTurn(instance_id):
                self.offer_turn(instance_id)
            case fx.CancelTurn(instance_id):
                self._withdraw_turn(instance_id)
            case fx.OfferBatch(entity_id):
                self.offer_batch(entity_id)
            case fx.OfferActivity(activity, version):
                self.offer_activity(activity, version)
            case fx.OrphanActivity(activity, version):
                self.store.keep_orphan(OrphanedActivity(activity, version))
            case fx.CancelActivity(activity):
                self._withdraw_activity(activity)
            case fx.SetTimer(timer):
                self.timers.set(timer.due, timer.target, timer)
                if timer.target.startswith("@"):
                    self.store.put_timer(timer)
            case fx.CancelTimers(instance_id):
                self.timers.drop(instance_id)
            case fx.NotifyWaiters(instance_id):
                instance = self.store.instance(instance_id)
                if instance is not None:
                    self.waiters.notify(instance)

    # Work for workers

    def offer_turn(self, instance_id: str) -> None:
        """Offer an instance's turn to workers, immediately or after a wait for further results."""
        instance = self.store.instance(instance_id)
        if instance is None or instance_id in self._turns:
            return
        delay = batching_delay(instance)
        if not delay:
            self._offer_now(instance)
        elif instance_id not in self._batching:
            self._batching.add(instance_id)
            self.timers.set(self.now() + delay, "", BatchingDelayOver(instance_id))

    def offer_batch(self, entity_id: str) -> None:
        """Offer the operations of an entity that can run to workers."""
        entity = self.store.entity(entity_id)
        if entity is not None and entity_id not in self._batches:
            self._batches[entity_id] = self.offer(Kind.ENTITY, entity.name, "", entity_id)

    def offer_activity(self, activity: Activity, version: str) -> None:
        """Offer an activity to workers."""
        name = activity.scheduled.taskScheduled.name
        item = self.offer(Kind.ACTIVITY, name, version, activity)
        item.change = self.store.last_change(activity.instance_id)
        self._activities[id(activity.scheduled)] = item

    def offer(self, kind: Kind, name: str, version: str, subject: object) -> WorkItem:
        """Offer a new work item to workers."""
        return self.leases.offer(kind, name, version, subject, self.now() / SECOND)

    def find_work_item(self, token: str, kind: Kind) -> WorkItem | None:
        """Return the leased work item of a completion token, None if it is completed.

        Raises:
            InvalidError: the work item is of another kind.
        """
        item = self.leases.find(token)
        if item is not None and item.kind is not kind:
            raise InvalidError(
                f"The completion token '{token}' belongs to an {item.kind.value}, "
                f"not an {kind.value}."
            )
        return item

    def complete_work_item(self, item: WorkItem) -> None:
        """Remove a completed work item, and record it for its worker."""
        worker = item.holder or item.last_holder
        if worker is not None:
            worker.record.note(item.kind.value, self.now() / SECOND)
        self.remove_work_item(item)

    def repeat_turn(self, item: WorkItem) -> None:
        """Offer a turn that has been answered a second time."""
        self.complete_work_item(item)
        instance = self.store.instance(str(item.subject))
        if instance is not None:
            self._offer_now(instance)

    def abandon_work_item(self, token: str) -> None:
        """Requeue an abandoned work item, for another worker if there is one."""
        self._expire_at(self.leases.abandon(token, self.now() / SECOND))

    def end_stream(self, stream: WorkerStream) -> bool:
        """End a worker's stream and reassign its work; return whether it was connected."""
        stream.has_gone = True
        if not self.leases.has(stream):
            return False
        self._expire_at(self.leases.disconnect(stream, self.now() / SECOND))
        return True

    def remove_work_item(self, item: WorkItem) -> None:
        """Remove a work item that is completed, or whose answer is no longer needed."""
        self.leases.complete(item.token)
        if isinstance(item.subject, Activity):
            self.store.remove_orphan(item.subject)
            self._activities.pop(id(item.subject.scheduled), None)
        elif item.kind is Kind.ORCHESTRATOR:
            self._turns.pop(str(item.subject), None)
        elif item.kind is Kind.ENTITY:
            self._batches.pop(str(item.subject), None)
        self._on_idle()

    def _withdraw_turn(self, instance_id: str) -> None:
        """Withdraw an instance's turn, even if a worker holds it."""
        item = self._turns.get(instance_id)
        if item is not None:
            self.remove_work_item(item)

    def _withdraw_activity(self, activity: Activity) -> None:
        """Withdraw an activity, unless a worker holds it and may be running it."""
        item = self._activities.get(id(activity.scheduled))
        if item is None:
            return
        item.is_withdrawn = True
        if item.holder is None:
            self.remove_work_item(item)

    # Time

    @property
    def is_idle(self) -> bool:
        """Whether only a client's call or a timer can cause work. Called under the lock."""
        has_work = self._batching or any(True for _ in self.leases.items())
        return not has_work and self.timers.is_idle()

    def _expire_at(self, seconds: float | None) -> None:
        """Check the leases at a time in seconds since 1970; None: not needed."""
        if seconds is not None:
            # Not earlier: seconds as a float are accurate to a quarter of a microsecond.
            self.timers.set(int(seconds * SECOND) + MICROSECOND, "", LeasesExpire())

    def _fire(self, what: object) -> None:
        with self.lock:
            match what:
                case LeasesExpire():
                    self.leases.expire(self.now() / SECOND)
                case BatchingDelayOver(instance_id):
                    self._end_batching(instance_id)
                case Timer(target=target, event=event) if target.startswith("@"):
                    self.store.remove_timer(what)
                    self.apply([fx.DeliverToEntity(target, event)])
                case Timer(target=target, event=event):
                    instance = self.store.instance(target)
                    if instance is not None:
                        self.change(instance, instances.fire, event)

    def _end_batching(self, instance_id: str) -> None:
        self._batching.discard(instance_id)
        instance = self.store.instance(instance_id)
        if instance is None or instance_id in self._turns or not instances.readiness(instance):
            return
        self._offer_now(instance)

    def _offer_now(self, instance: Instance) -> None:
        version = instance.version or ""
        self._turns[instance.instance_id] = self.offer(
            Kind.ORCHESTRATOR, instance.name, version, instance.instance_id
        )
