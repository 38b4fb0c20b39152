"""The emulator's server: ports, gRPC, dashboard, start and stop, routing by task hub."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from dts_emulator.engine.errors import UnavailableError
from dts_emulator.engine.ids import check_task_hub
from dts_emulator.hub.limits import MAX_MESSAGE_BYTES, MAX_PAYLOAD_BYTES
from dts_emulator.hub.skipping_clock import SkippingClock
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.hub.task_hubs import TaskHubs
from dts_emulator.rpc.routing import MAX_STREAMS, handlers_of
from dts_emulator.store.file import StateFile

if TYPE_CHECKING:
    from dts_emulator.dashboard.web_server import WebServer

logger = logging.getLogger("emulator")

# Each stream occupies a thread, a waiting client none, and calls are short.
MAX_THREADS = MAX_STREAMS + 64

# A frozen or unreachable peer is detected within the sum of the two.
KEEPALIVE_SECONDS = 10
KEEPALIVE_TIMEOUT_SECONDS = 10

SERVER_OPTIONS = (
    ("grpc.so_reuseport", 0),  # Otherwise two servers silently share a port.
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # By default gRPC cancels calls at random when a thousand are pending.
    ("grpc.server.max_pending_requests", 1_000_000),
    ("grpc.server.max_pending_requests_hard_limit", 1_000_000),
    # Clients may send keep-alive pings as often as they like.
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_SECONDS * 1000),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_SECONDS * 1000),
)


class PortError(Exception):
    """Listening on a port failed; the message names it and the next step."""


class Emulator:
    """A stand-in for Durable Task Scheduler in this process. Use it as a context manager.

    Any number can run simultaneously. Without a `db_file`, its state is lost when it stops.

    Args:
        host: the address to listen on; keep it on loopback, as there is no authentication.
        port: the gRPC port; 0 = any free one.
        dashboard_port: the dashboard's port; 0 = any free one; None = no dashboard.
        task_hubs: the names of the task hubs.
        lease_grace: seconds in which a disconnected worker can still complete its items.
        max_payload_bytes: the largest input, output, event or custom status; 0 = no limit.
        dashboard_read_only: whether the dashboard offers no actions.
        db_file: the SQLite file that keeps the state; by default the state is in memory.
        skip_time: whether the clock skips to the next timer whenever all task hubs are idle; a
            timer never fires while an activity runs. See `hold_time` and `advance`.
        dynamic_task_hubs: whether a call that names an unknown task hub creates it, and a start
            opens all task hubs in the `db_file`.
        check_determinism: whether each turn of an orchestrator runs twice, and differing answers
            fail the instance with a NonDeterminismError that names both.

    Raises:
        ValueError: `skip_time` with a `db_file`, which would hold times in the future.
        InvalidError: a task hub's name is invalid.

    Example:
        with Emulator() as emulator:
            client = DurableTaskSchedulerClient(
                host_address=emulator.endpoint, taskhub="default", token_credential=None,
                secure_channel=False)
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        dashboard_port: int | None = None,
        task_hubs: Sequence[str] = ("default",),
        lease_grace: float = 5.0,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        dashboard_read_only: bool = False,
        db_file: str | Path | None = None,
        skip_time: bool = False,
        dynamic_task_hubs: bool = False,
        check_determinism: bool = False,
    ) -> None:
        if skip_time and db_file is not None:
            raise ValueError("skip_time needs the state in memory: omit db_file.")
        self.host = host
        self.port = port
        self.dashboard_port = dashboard_port
        self.state = "stopped"
        self._make_hub = partial(
            TaskHub,
            lease_grace=lease_grace,
            max_payload_bytes=max_payload_bytes,
            check_determinism=check_determinism,
        )
        self.is_dynamic = dynamic_task_hubs
        self.hubs = TaskHubs(self._new_hub, dynamic=dynamic_task_hubs)
        self._task_hubs = tuple(map(check_task_hub, task_hubs))
        self._dashboard_read_only = dashboard_read_only
        self._server: grpc.Server | None = None
        self._dashboard: WebServer | None = None
        self.db_file = db_file
        self._file: StateFile | None = None
        self._skips_time = skip_time
        self._clock: SkippingClock | None = None

    @property
    def endpoint(self) -> str:
        """The URL that workers and clients use, e.g. `http://127.0.0.1:8080`."""
        return f"http://{_in_url(self.host)}:{self.port}"

    @property
    def dashboard_url(self) -> str | None:
        """The dashboard's URL, None when it has none."""
        if self.dashboard_port is None:
            return None
        return f"http://{_in_url(self.host)}:{self.dashboard_port}"

    def start(self) -> None:
        """Listen and serve, with the task hubs of the state file or with empty ones.

        A stopped emulator can be started again.

        Raises:
            PortError: a port is in use or not allowed; nothing is left running.
            FileError: the state file cannot be used; nothing is left running.
            RuntimeError: it is already running.
        """
        if self.state != "stopped":
            raise RuntimeError(f"The emulator at {self.endpoint} is {self.state}.")
        self.state = "starting"
        try:
            for port in filter(None, (self.port, self.dashboard_port)):
                _require_free(self.host, port)
            self._open_hubs()
            self._start_dashboard()
            self._server = build_server(self.hubs, dashboard_port=self.dashboard_port)
            self.port = _listen(self._server, self.host, self.port)
            self._server.start()
        except BaseException:
            self.stop()
            raise
        self.state = "ready"

    def _open_hubs(self) -> None:
        names = list(self._task_hubs)
        if self._skips_time:
            self._clock = SkippingClock()
        elif self.db_file is not None:
            self._file = StateFile(self.db_file)
            names += self._file.task_hubs() if self.is_dynamic else []
        self.hubs = TaskHubs(self._new_hub, dynamic=self.is_dynamic)
        for name in names:
            try:
                self.hubs.open(name)
            except UnavailableError as error:
                raise self._file.damaged(error) if self._file else error from None

    def _new_hub(self, name: str) -> TaskHub:
        if self._clock is not None:
            hub = self._make_hub(name, clock=self._clock.now, on_idle=self._clock.refresh)
            self._clock.add(hub)
            return hub
        return self._make_hub(name, store=self._file.store(name) if self._file else None)

    @property
    def problem(self) -> str | None:
        """Why the state cannot be saved; after `stop`, why the last changes are lost."""
        problems = (hub.store.problem for hub in self.hubs.values())
        return next(filter(None, problems), None)

    def _is_ready(self) -> bool:
        return self.state == "ready" and self.problem is None

    def _start_dashboard(self) -> None:
        if self.dashboard_port is None:
            return
        # Imported here to keep tests without a dashboard fast.
        from dts_emulator.dashboard.app import create_app
        from dts_emulator.dashboard.hub_adapter import HubAdapters
        from dts_emulator.dashboard.web_server import WebServer

        app = create_app(
            HubAdapters(self.hubs),
            ready=self._is_ready,
            read_only=self._dashboard_read_only,
            allowed_hosts=[self.host],
        )
        try:
            self._dashboard = WebServer(app, self.host, self.dashboard_port)
        except OSError:
            raise _taken(self.host, self.dashboard_port) from None
        self.dashboard_port = self._dashboard.port

    def stop(self) -> None:
        """End all streams and waits, and free the ports. A second call has no effect."""
        self.state = "stopping"
        if self._clock is not None:
            self._clock.close()
            self._clock = None
        self.hubs.close()
        if self._server is not None:
            self._server.stop(grace=1).wait()
            self._server = None
        if self._dashboard is not None:
            self._dashboard.stop()
            self._dashboard = None
        if self._file is not None:
            # Last, because calls may change state until here.
            self._file.close()
            self._file = None
        self.state = "stopped"

    @contextmanager
    def hold_time(self) -> Iterator[None]:
        """Skip no time within a block, although the emulator skips time.

        Outside such a block, a time limit expires as soon as everything else is idle. Inside, a
        test can act before that: raise an event, or `advance`.

        Raises:
            RuntimeError: the emulator is not running, or not with skip_time=True.
        """
        with self._test_clock().held():
            yield

    def advance(self, by: timedelta, *, wait: bool = True, timeout: float = 30.0) -> None:
        """Move the clock forward, and fire every timer on the way at its time, in order.

        Args:
            by: how far.
            wait: before each move, and at the end, wait until all task hubs are idle. With
                False the clock moves immediately, even past the time limit of a running activity.
            timeout: seconds of real time for all these waits.

        Raises:
            TimeoutError: work is still in progress; the message names it.
            ValueError: `by` is negative, or leads to the year 9999.
            RuntimeError: the emulator is not running, or not with skip_time=True.
        """
        self._test_clock().advance(by, wait=wait, timeout=timeout)

    def _test_clock(self) -> SkippingClock:
        if self._clock is None:
            raise RuntimeError("Only a running Emulator(skip_time=True) has a clock to set.")
        return self._clock

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def build_server(
    hubs: TaskHubs,
    interceptors: Sequence[grpc.ServerInterceptor] = (),
    *,
    dashboard_port: int | None = None,
) -> grpc.Server:
    """Return a gRPC server, without a port yet, that passes every call to the hub it names.

    With `dashboard_port`, answers to clients name the dashboard's port in a header.
    """
    server = grpc.server(
        ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="grpc"),
        interceptors=list(interceptors),
        options=SERVER_OPTIONS,
    )
    server.add_generic_rpc_handlers((handlers_of(hubs, dashboard_port),))
    return server


def _require_free(host: str, port: int) -> None:
    """Raise PortError if a server answers: some systems let two programs share a port."""
    try:
        socket.create_connection((host, port), timeout=0.5).close()
    except OSError:
        return
    raise _taken(host, port)


def _listen(server: grpc.Server, host: str, port: int) -> int:
    try:
        return server.add_insecure_port(f"{_in_url(host)}:{port}")
    except RuntimeError:
        raise _taken(host, port) from None


def _taken(host: str, port: int) -> PortError:
    return PortError(
        f"Port {port} on {host} is in use or not allowed. "
        "Stop the program that uses it, or choose another port (0 = any)."
    )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
