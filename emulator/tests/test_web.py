"""The dashboard's connections: bounded in number, and in the time that a request may take."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from dts_emulator.dashboard import create_app, web_server
from tests.dashboard.hubs import ShownHub
from tests.processes import PATIENCE_SECONDS, wait_until

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Give the port of a dashboard that takes five connections, and is not patient."""
    monkeypatch.setattr(web_server, "MAX_CONNECTIONS", 5)
    monkeypatch.setattr(web_server, "REQUEST_SECONDS", 2.0)
    server = web_server.WebServer(
        create_app({"default": ShownHub()}, ready=lambda: True), "127.0.0.1", 0
    )
    yield server.port
    server.stop()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)


def is_answered(connection: socket.socket) -> bool:
    answer = b""
    try:
        while not answer.endswith(b"ready\n"):
            part = connection.recv(10_000)
            answer += part
            if not part:
                return False
    except ConnectionError:
        return False
    return True


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(10_000) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "beginning",
    [b"", b"GET /healthz HTTP/1.1\r\nHost: lo", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"],
    ids=["nothing", "half a header", "half a body"],
)
def test_a_connection_that_never_finishes_its_request_is_closed(
    port: int, beginning: bytes
) -> None:
    with connect(port) as connection:
        connection.sendall(beginning)
        wait_until(lambda: is_closed(connection), "it is closed")


def test_a_second_request_has_no_longer_than_the_first(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(HEALTH)
        assert is_answered(connection)
        connection.sendall(HEALTH)
        assert is_answered(connection)
        connection.sendall(HEALTH[:10])
        wait_until(lambda: is_closed(connection), "it is closed")


def test_a_connection_too_many_is_closed_and_later_ones_are_served(port: int) -> None:
    idle = [connect(port) for _ in range(5)]
    with connect(port) as one_too_many:
        assert is_closed(one_too_many)
    for connection in idle:
        connection.close()

    def is_served() -> bool:
        with connect(port) as connection:
            connection.sendall(HEALTH)
            return is_answered(connection)

    wait_until(is_served, "the next one is served")
