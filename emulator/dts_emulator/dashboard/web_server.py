"""Serves a web application on a thread of its own; the socket is bound before it starts."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

NO_CONNECTION = "The dashboard accepts no connections at present: %s"

logger = logging.getLogger("emulator")

# Further connections are closed immediately; a browser keeps six.
MAX_CONNECTIONS = 100

# The time limit for a complete request.
REQUEST_SECONDS = 10.0

# asyncio accepts this many connections at a time, and reports each that fails.
BACKLOG = 16

COMPLAINT_SECONDS = 60.0


class WebServer:
    """Serves `app` on `host` and `port` (0 = any) until it is stopped.

    Raises:
        OSError: listening on the port failed.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=_BoundedProtocol,
            ws="none",
            backlog=BACKLOG,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the connections and free the port."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


class _BoundedProtocol(H11Protocol):
    """A connection that is closed if there are too many, or if its request takes too long."""

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit of the first request."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._begin_limit()

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request; the time limit ends once it is complete."""
        self._begin_limit()
        super().data_received(data)
        asked = self.cycle
        if asked is not None and not asked.more_body and not asked.response_complete:
            self._end_limit()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the time limit."""
        self._end_limit()
        super().connection_lost(exc)

    def _begin_limit(self) -> None:
        if self._limit is None:
            self._limit = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _end_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


class _Server(uvicorn.Server):
    """Logs at most once a minute, in one line, that it accepts no connections."""

    _complained_at = -COMPLAINT_SECONDS

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        asyncio.get_running_loop().set_exception_handler(self._complain)
        await super().startup(sockets)

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not (isinstance(error, OSError) and "accept" in context["message"]):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._complained_at >= COMPLAINT_SECONDS:
            self._complained_at = time.monotonic()
            logger.warning(NO_CONNECTION, error)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # Lets a restart reuse the port immediately; a port with a listener stays in use.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
