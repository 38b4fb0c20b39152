"""The client side of a process: connects, schedules and waits, through outages and time-outs."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

import grpc
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.client import OrchestrationState, OrchestrationStatus

from hosting.dashboard import page_of
from hosting.deadlines import Deadlines
from hosting.errors import advice, code_of, details_of, is_passing, is_refused_input
from hosting.exits import ClientError, Exit, exit_statuses, usage_errors
from hosting.targets import scheduler_in_use
from scheduler import Scheduler

# How long a scheduler that does not answer, or no longer answers, is waited for.
PATIENCE_SECONDS = 30.0

# How long one call may take that does not wait for anything; never less than a moment.
CALL_SECONDS = 10.0
MOMENT_SECONDS = 1.0

# When the user hears that no worker has taken the orchestration, and how long one call waits.
PENDING_SECONDS = 3.0
WAIT_SECONDS = 30.0

T = TypeVar("T")


class Client:
    """The SDK's client, for a program that schedules one orchestration and waits for it.

    Its methods are named as the SDK's and do the same. They also wait for a scheduler that is
    starting, take up what an outage has cut, and give each call a deadline within the time-out.

    Args:
        target: the scheduler to connect to.
        logger: takes what the user should know meanwhile.
        timeout: how many seconds scheduling may take, and then waiting.
        worker: the program that the user may have forgotten to start.
        attach: the command that waits for an instance, without its ID; None if there is none.
    """

    def __init__(
        self, target: Scheduler, logger: logging.Logger, timeout: float, worker: str, attach: str
    ) -> None:
        self.target = target
        self._logger = logger
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._worker = worker
        self._attach = attach
        self._instance_id = ""
        self._fate = "Nothing was started."
        self.sdk = DurableTaskSchedulerClient(
            **target.connection(),
            interceptors=[Deadlines(lambda: min(CALL_SECONDS, self._remaining()))],
            # What the SDK would say, we say ourselves.
            logger=logging.getLogger("durabletask-client"),
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.sdk.close()

    def schedule_new_orchestration(
        self,
        orchestrator: str,
        *,
        input: Any,  # noqa: A002  The SDK's name for it.
        instance_id: str | None = None,
    ) -> str:
        """Schedule an orchestration and return its ID.

        Raises:
            ClientError: the ID is in use, or the scheduler does not take the input.
            grpc.RpcError, azure.core.exceptions.AzureError: the scheduler cannot be used.
        """
        self._instance_id = instance_id or uuid.uuid4().hex
        if self._find(self._instance_id) is not None:
            raise self._in_use()
        attempts = 0

        def schedule() -> str:
            nonlocal attempts
            attempts += 1
            self._fate = "The orchestration may have been started."
            return self.sdk.schedule_new_orchestration(
                orchestrator, input=input, instance_id=self._instance_id
            )

        try:
            self._patiently(schedule)
        except grpc.RpcError as error:
            if is_refused_input(error):
                raise ClientError(
                    Exit.USAGE, f"The scheduler does not take this input: {details_of(error)}."
                ) from None
            # After an outage, it is our own first attempt that has come through.
            if code_of(error) is not grpc.StatusCode.ALREADY_EXISTS:
                raise
            if attempts == 1:
                raise self._in_use() from None
        self._fate = "The orchestration goes on."
        return self._instance_id

    def attach(self, instance_id: str) -> str:
        """Return the ID of an instance that was scheduled earlier.

        Raises:
            ClientError: there is none.
        """
        if self._find(instance_id) is None:
            raise ClientError(
                Exit.USAGE, f"There is no orchestration with ID '{instance_id}' to attach to."
            )
        self._instance_id = instance_id
        self._fate = "The orchestration goes on."
        return instance_id

    def raise_orchestration_event(self, instance_id: str, event_name: str, *, data: Any) -> None:
        """Send an event to an instance; after an outage it may arrive twice."""
        self._patiently(
            lambda: self.sdk.raise_orchestration_event(instance_id, event_name, data=data)
        )

    def terminate_orchestration(self, instance_id: str, *, output: Any) -> None:
        """Terminate an instance, with a reason as its output."""
        self._patiently(lambda: self.sdk.terminate_orchestration(instance_id, output=output))
        self._instance_id, self._fate = "", "The orchestration was terminated."

    def wait_for_orchestration_completion(
        self, instance_id: str, *, timeout: float
    ) -> OrchestrationState:
        """Return the state in which the orchestration ended.

        Raises:
            TimeoutError: it has not ended after `timeout` seconds.
            ClientError: the scheduler no longer knows the instance.
            grpc.RpcError, azure.core.exceptions.AzureError: the scheduler cannot be used.
        """
        self._deadline = time.monotonic() + timeout
        seconds = PENDING_SECONDS
        while time.monotonic() < self._deadline:
            state: OrchestrationState | None = None
            try:
                state = self.sdk.wait_for_orchestration_completion(
                    instance_id, timeout=min(seconds, self._deadline - time.monotonic())
                )
                return self._known(state)
            except TimeoutError:
                pass
            except grpc.RpcError as error:
                if is_passing(error):
                    self._logger.warning("Lost the connection to the scheduler, connecting again")
                elif code_of(error) is not grpc.StatusCode.NOT_FOUND:  # No hub, or no instance?
                    raise
            state = self._known(self._find(instance_id))
            if state.runtime_status is OrchestrationStatus.PENDING and seconds < WAIT_SECONDS:
                self._logger.warning(
                    f"No worker has taken it yet: is {self._worker} running, with the same TASKHUB?"
                )
            seconds = WAIT_SECONDS
        raise TimeoutError(
            f"The orchestration is still running after {timeout:g} s; is a worker running?"
        )

    def page_of(self, instance_id: str) -> str | None:
        """Return the address where an instance can be seen, None for Azure."""
        return page_of(self.target, instance_id)

    def how_to_go_on(self) -> str:
        """Say what has become of the orchestration, and how to wait for it again."""
        if not self._attach or not self._instance_id:
            return self._fate
        return f"{self._fate} To wait for it again: {self._attach} {self._instance_id}".strip()

    def _known(self, state: OrchestrationState | None) -> OrchestrationState:
        """Return `state`, which is None where an emulator has lost the instance."""
        if state is None:
            raise ClientError(
                Exit.UNREACHABLE,
                f"The scheduler no longer knows the orchestration '{self._instance_id}': it was "
                "purged, or an emulator that keeps nothing has started again. If it has, "
                "start the client again.",
            )
        return state

    def _in_use(self) -> ClientError:
        how = f", or wait for that one: {self._attach} {self._instance_id}" if self._attach else ""
        return ClientError(
            Exit.USAGE,
            f"The instance ID '{self._instance_id}' is in use. Choose another one{how}",
        )

    def _find(self, instance_id: str) -> OrchestrationState | None:
        return self._patiently(
            lambda: self.sdk.get_orchestration_state(instance_id, fetch_payloads=False)
        )

    def _remaining(self) -> float:
        return max(self._deadline - time.monotonic(), MOMENT_SECONDS)

    def _patiently(self, call: Callable[[], T]) -> T:
        """Return what `call` does, after waiting for a scheduler that may only be starting."""
        end = min(self._deadline, time.monotonic() + PATIENCE_SECONDS)
        is_first = True
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                if not is_passing(error) or time.monotonic() > end:
                    raise
            if is_first:
                self._logger.warning(
                    f"No scheduler answers yet at {self.target.endpoint}, waiting up to "
                    f"{end - time.monotonic():.0f} s for it. {advice(self.target)}"
                )
                is_first = False
            time.sleep(0.25)


@contextmanager
def connect(
    logger: logging.Logger, timeout: float, *, worker: str = "worker.py", attach: str = ""
) -> Iterator[Client]:
    """Give a client of the scheduler that the environment names.

    Whatever goes wrong in the block ends the process with a line of words and its status.
    The arguments are those of Client.
    """
    with usage_errors(logger):
        target = scheduler_in_use(logger)
        client = Client(target, logger, timeout, worker, attach)
    with exit_statuses(logger, target, client.how_to_go_on), client:
        yield client
