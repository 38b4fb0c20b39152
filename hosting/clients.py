"""What surrounds the SDK's client: outages, progress, results, exit statuses."""

from __future__ import annotations

import logging
import re
import threading
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import IntEnum
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

import grpc
from durabletask import history
from durabletask.client import OrchestrationState, OrchestrationStatus, TaskHubGrpcClient
from grpc import StatusCode

from hosting import errors
from hosting.scheduler import ConfigurationError, Scheduler

logger = logging.getLogger("client")

CONNECT_TIMEOUT = 30.0  # seconds to wait for a scheduler that does not answer
WAIT_TIMEOUT = 30.0  # of one call that waits for an instance
CALL_TIMEOUT, MIN_CALL_TIMEOUT = 10.0, 1.0  # of any other call

# The emulator names the port of its dashboard in this header of its answers.
DASHBOARD_PORT = "dts-dashboard-port"

NOTHING_STARTED = "Nothing was started."
PENDING = "No worker has taken it yet."


class Exit(IntEnum):
    """The exit statuses of a client."""

    COMPLETED = 0
    FAILED = 1
    USAGE = 2
    TIMED_OUT = 3
    UNREACHABLE = 4
    INTERRUPTED = 130


class ClientError(Exception):
    """Ends the client with a message and an exit status."""

    def __init__(self, status: Exit, message: str) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def exit_statuses(timeout: float, attach: str = "") -> Iterator[ClientRun]:
    """End the process with one line and an exit status for each error in the block.

    Scheduling may take `timeout` seconds. The command `attach`, if there is one, followed by an
    ID waits for that instance.
    """
    run = ClientRun(timeout, attach)
    try:
        yield run
        return
    except ClientError as error:
        status, message = error.status, str(error)
    except ConfigurationError as error:
        status, message = Exit.USAGE, str(error)
    except KeyboardInterrupt:
        status, message = Exit.INTERRUPTED, f"Interrupted. {run.outcome()}"
    except errors.SCHEDULER_ERRORS as error:
        status, message = run.explain(error)
    except BrokenPipeError:  # The reader of stdout wants no more.
        raise SystemExit(Exit.COMPLETED) from None
    except OSError as error:
        reason = f"Cannot write the result to stdout: {error.strerror}."
        status, message = Exit.USAGE, f"{reason} {run.outcome()}"
    logger.error(message)
    raise SystemExit(status) from None


class ClientRun(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """One run of a client. As an interceptor it repeats calls that no scheduler answers."""

    def __init__(self, timeout: float, attach: str) -> None:
        self._scheduler = Scheduler()
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._attach = attach
        self._instance_id = ""
        self._outcome = NOTHING_STARTED
        self._has_answered = False
        self._dashboard = ""

    def options(self, scheduler: Scheduler) -> dict[str, Any]:
        """Return arguments for the SDK's client of this scheduler."""
        self._scheduler = scheduler
        # The lines of the SDK's client would repeat the program's.
        return {"interceptors": [self], "logger": logging.getLogger("durabletask-client")}

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        """Make a call with a time limit."""
        return continuation(details._replace(timeout=CALL_TIMEOUT), request)

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """Return a call that has ended, after repeating it while no scheduler answers."""
        starts, timeout = details.method.endswith("/StartInstance"), details.timeout
        deadline = time.monotonic() + timeout if timeout else self._deadline
        least, most = (0.01, WAIT_TIMEOUT) if timeout else (MIN_CALL_TIMEOUT, CALL_TIMEOUT)
        give_up, may_have_arrived = 0.0, False
        while True:
            if starts:
                self._instance_id = request.instanceId
                self._outcome = "The orchestration may have been started."
            method = details.method
            if timeout and give_up:  # The scheduler may have restarted without the instance.
                method = method.replace("WaitForInstanceCompletion", "GetInstance")
            seconds = min(max(deadline - time.monotonic(), least), most)
            call = continuation(details._replace(method=method, timeout=seconds), request)
            if starts and may_have_arrived and call.code() is StatusCode.ALREADY_EXISTS:
                # An earlier attempt has reached the scheduler; its answer was lost.
                call = SimpleNamespace(result=lambda: request, code=lambda: StatusCode.OK)
            now, code, is_passing = time.monotonic(), call.code(), errors.is_passing(call)
            may_have_arrived |= is_passing and "failed to connect" not in errors.details_of(call)
            if starts and code is StatusCode.OK:
                self._outcome = "The orchestration continues."
            elif starts and not may_have_arrived:
                self._outcome = NOTHING_STARTED
            is_known = method != details.method and code is StatusCode.OK and call.result().exists
            if is_known or (timeout and code is StatusCode.DEADLINE_EXCEEDED and now < deadline):
                give_up = 0.0  # The instance has not ended.
            elif not is_passing or now > (give_up or deadline):
                self._read_headers(call)
                return call
            else:
                give_up = give_up or self._warn(min(deadline, now + CONNECT_TIMEOUT))
                time.sleep(0.25)

    def _warn(self, give_up: float) -> float:
        lost = "Lost the connection to" if self._has_answered else "No scheduler answers yet at"
        limit = f"up to {give_up - time.monotonic():.0f} s. {errors.advice(self._scheduler)}"
        logger.warning(f"{lost} {self._scheduler.endpoint}, trying for {limit}")
        return give_up

    def _read_headers(self, call: Any) -> None:
        self._has_answered = True
        if port := dict(getattr(call, "initial_metadata", dict)() or ()).get(DASHBOARD_PORT):
            host = urlsplit(self._scheduler.endpoint).hostname or ""
            self._dashboard = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def attach(self, client: TaskHubGrpcClient, instance_id: str) -> str:
        """Return the ID of an instance that was scheduled earlier; raise ClientError otherwise."""
        if client.get_orchestration_state(instance_id, fetch_payloads=False) is None:
            raise ClientError(Exit.USAGE, f"There is no orchestration with ID '{instance_id}'.")
        self._instance_id, self._outcome = instance_id, "The orchestration continues."
        return instance_id

    def require_unused(self, client: TaskHubGrpcClient, instance_id: str | None) -> None:
        """Raise ClientError if an instance has this ID, even one that has ended."""
        if instance_id and client.get_orchestration_state(instance_id, fetch_payloads=False):
            raise ClientError(Exit.USAGE, self._in_use(instance_id))

    def _in_use(self, instance_id: str) -> str:
        attach = f", or wait for that one: {self._attach} {instance_id}" if self._attach else ""
        return f"The instance ID '{instance_id}' is in use. Choose another one{attach}"

    def explain(self, error: BaseException) -> tuple[Exit, str]:
        """Return the exit status and the message for an error of a call."""
        code, details = errors.code_of(error), errors.details_of(error)
        if code is StatusCode.ALREADY_EXISTS:
            return Exit.USAGE, self._in_use(self._instance_id)
        # "larger than max": gRPC's words for its own limit
        if code is StatusCode.INVALID_ARGUMENT or "larger than max" in details:
            return Exit.USAGE, f"The scheduler does not accept this input: {details}."
        return Exit.UNREACHABLE, f"{errors.explain(error, self._scheduler)} {self.outcome()}"

    def outcome(self) -> str:
        """Return the state of the orchestration, and how to wait for it if it may exist."""
        if not self._attach or self._outcome == NOTHING_STARTED:
            return self._outcome
        return f"{self._outcome} To wait for it: {self._attach} {self._instance_id}"

    def page_of(self, instance_id: str) -> str:
        """Return the address of an instance's page, in Azure the dashboard's; empty if unknown."""
        hub = quote(self._scheduler.task_hub, safe="")
        if self._scheduler.is_secure:
            endpoint = quote(self._scheduler.endpoint, safe="")
            return f"https://dashboard.durabletask.io/?endpoint={endpoint}&taskhub={hub}"
        path = f"/subscriptions/local/schedulers/emulator/taskhubs/{hub}/orchestrations"
        return self._dashboard and f"{self._dashboard}{path}/{quote(instance_id, safe='')}"

    @contextmanager
    def waiting(
        self, client: TaskHubGrpcClient, instance_id: str, total: int | None = None
    ) -> Iterator[None]:
        """Show the progress of an instance, with `total` items if known, while the block waits.

        Raises ClientError instead of the block's TimeoutError.
        """
        if page := self.page_of(instance_id):
            logger.info(f"See the run: {page}")
        ended = threading.Event()
        arguments = (client, instance_id, total, ended)
        watcher = threading.Thread(target=_watch, args=arguments, daemon=True)
        watcher.start()
        try:
            yield
        except TimeoutError:
            state = client.get_orchestration_state(instance_id, fetch_payloads=False)
            if state is None:
                raise self._gone() from None
            hint = f" {PENDING}" if state.runtime_status is OrchestrationStatus.PENDING else ""
            message = f"Still not completed after {self._timeout:g} s.{hint} {self.outcome()}"
            raise ClientError(Exit.TIMED_OUT, message) from None
        finally:
            ended.set()
            watcher.join(timeout=5)

    def _gone(self) -> ClientError:
        reason = "it was purged, or the emulator restarted without --db-file"
        message = f"Orchestration '{self._instance_id}' no longer exists: {reason}."
        return ClientError(Exit.UNREACHABLE, f"{message} Start the client again.")

    def output_of(self, client: TaskHubGrpcClient, state: OrchestrationState | None) -> Any:
        """Return the output of an orchestration; raise ClientError unless it has completed."""
        if state is None:
            raise self._gone()
        if state.runtime_status is OrchestrationStatus.COMPLETED:
            self._outcome = "The orchestration has completed."
            with suppress(ValueError, RecursionError):  # Not JSON, or too deeply nested.
                return state.get_output()
            return state.serialized_output
        if state.failure_details is None:
            reason = f": {state.serialized_output}" if state.serialized_output else ""
            raise ClientError(Exit.FAILED, f"The orchestration was {state.runtime_status}{reason}")
        reason = errors.why_it_failed(client, state.instance_id, state.failure_details)
        page = self.page_of(state.instance_id)
        trace = f" Its page has the stack trace: {page}" if page else ""
        raise ClientError(Exit.FAILED, f"The orchestration failed: {reason}.{trace}")


def _watch(
    client: TaskHubGrpcClient, instance_id: str, total: int | None, ended: threading.Event
) -> None:
    """Move a progress bar if stderr is a terminal, and say once if no worker takes the instance."""
    from tqdm import tqdm  # The main thread need not wait for it.
    from tqdm.contrib.logging import logging_redirect_tqdm

    hint_at = time.monotonic() + 3
    with logging_redirect_tqdm(), tqdm(unit=" items", leave=False, disable=None) as bar:
        while not ended.wait(0.5):
            with suppress(*errors.SCHEDULER_ERRORS):  # The call that waits reports them.
                if not bar.disable:
                    bar.n, bar.total = count(client.get_orchestration_history(instance_id), total)
                    bar.refresh()
                if time.monotonic() > hint_at:
                    hint_at = float("inf")
                    state = client.get_orchestration_state(instance_id, fetch_payloads=False)
                    if state and state.runtime_status is OrchestrationStatus.PENDING:
                        logger.warning(f"{PENDING} Is one running, with this TASKHUB?")


def count(events: Sequence[history.HistoryEvent], total: int | None) -> tuple[int, int]:
    """Return the number of items that have completed, and of all; a part counts for its share."""
    kinds = [type(event) for event in events]
    if parts := kinds.count(history.SubOrchestrationInstanceCreatedEvent):
        done = kinds.count(history.SubOrchestrationInstanceCompletedEvent)
        return (total or parts) * done // parts, total or parts
    total = total or len({e.event_id for e in events if isinstance(e, history.TaskScheduledEvent)})
    return min(kinds.count(history.TaskCompletedEvent), total), total


def valid_instance_id(text: str) -> str:
    """Return an instance ID that the service accepts (docs/azure.md), as a type for argparse."""
    if not re.fullmatch(r"[ -?A-~][ -~]{0,99}", text):
        raise ArgumentTypeError("use 1 to 100 printable ASCII characters, not '@' first")
    return text
