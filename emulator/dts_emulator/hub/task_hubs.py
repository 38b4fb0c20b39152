"""The task hubs of an emulator: its initial ones and those created on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import RLock

from dts_emulator.engine.errors import ExhaustedError, NotFoundError, UnavailableError
from dts_emulator.engine.ids import check_task_hub
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.store.file import FileError

# The limit for creation on demand: misspelt or random names must not exhaust the memory.
MAX_TASK_HUBS = 100

DYNAMIC_VARIABLE = "DTS_USE_DYNAMIC_TASK_HUBS"


class TaskHubs(Mapping[str, TaskHub]):
    """The open task hubs by name. Any thread may read them or open more.

    Args:
        new_hub: makes the task hub of a name.
        dynamic: whether a call that names an unknown task hub creates it.
    """

    def __init__(self, new_hub: Callable[[str], TaskHub], *, dynamic: bool = False) -> None:
        self._new_hub = new_hub
        self._is_dynamic = dynamic
        self._lock = RLock()
        self._is_closed = False
        # Replaced, never modified: readers need no lock.
        self._open: Mapping[str, TaskHub] = {}

    def __getitem__(self, name: str) -> TaskHub:
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def open(self, name: str) -> TaskHub:
        """Return a task hub, opened if it is not yet.

        Raises:
            UnavailableError: the emulator is stopping, or the hub's state cannot be read.
            FileError: the state file cannot be used.
        """
        with self._lock:
            if name not in self._open:
                if self._is_closed:
                    raise UnavailableError("The emulator is stopping.")
                self._open = {**self._open, name: self._new_hub(name)}
            return self._open[name]

    def of_call(self, name: str) -> TaskHub:
        """Return the task hub that a call names; a dynamic one is created by its first call.

        Raises:
            NotFoundError: there is no such task hub, or the name is empty.
            InvalidError: the name of a hub that would be created is invalid.
            ExhaustedError: the emulator has reached the limit for task hubs.
            UnavailableError: the task hub cannot be opened at present.
        """
        hub = self._open.get(name)
        if hub is not None:
            return hub
        if not (name and self._is_dynamic):
            raise NotFoundError(self._not_found(name))
        check_task_hub(name)
        with self._lock:
            if name not in self._open and len(self._open) >= MAX_TASK_HUBS:
                raise ExhaustedError(
                    f"Task hub '{name}' was not created: this emulator has {len(self._open)} task "
                    f"hubs, and calls create hubs up to {MAX_TASK_HUBS}."
                )
            try:
                return self.open(name)
            except FileError as error:
                raise UnavailableError(f"Task hub '{name}' cannot be opened. {error}") from None

    def close(self) -> None:
        """Open no more task hubs, and end all streams and waits."""
        with self._lock:
            self._is_closed = True
        for hub in self._open.values():
            hub.close()

    def _not_found(self, name: str) -> str:
        asked = f"There is no task hub '{name}'" if name else "The call names no task hub"
        known = ", ".join(f"'{known}'" for known in self._open)
        hint = (
            ""
            if self._is_dynamic
            else f" Set {DYNAMIC_VARIABLE}=true to create task hubs on demand."
        )
        return f"{asked}; this emulator has {known}.{hint}"
