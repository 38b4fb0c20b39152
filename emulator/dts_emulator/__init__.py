"""A Docker-free stand-in for the Durable Task Scheduler emulator: `python -m dts_emulator`."""

from dts_emulator.replay.replayer import Difference, Replayer, ReplayResult
from dts_emulator.replay.server import NoAnswerError, ReplayError, WorkerRefusedError
from dts_emulator.server import Emulator, PortError
from dts_emulator.store.file import FileError

__version__ = "0.1.0"

__all__ = [
    "Difference",
    "Emulator",
    "FileError",
    "NoAnswerError",
    "PortError",
    "ReplayError",
    "ReplayResult",
    "Replayer",
    "WorkerRefusedError",
]
