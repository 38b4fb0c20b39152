"""Calls to the RPCs of a task hub without a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import grpc

from dts_emulator import Emulator
from dts_emulator.rpc.service import Service


class Call:
    """The context of a call whose client goes away when `hang_up` is called."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []

    def add_callback(self, callback: Callable[[], None]) -> bool:
        self._callbacks.append(callback)
        return True

    def peer(self) -> str:
        return "nobody"

    def is_active(self) -> bool:
        return True

    def hang_up(self) -> None:
        for callback in self._callbacks:
            callback()


CALL = cast(grpc.ServicerContext, Call())


def service_of(emulator: Emulator) -> Service:
    """Return the RPCs of the emulator's default task hub."""
    return Service(emulator.hubs["default"])
