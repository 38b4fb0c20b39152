"""A Docker-free stand-in for the Durable Task Scheduler emulator: `python -m emulator`."""

from dts_emulator.server import Emulator, PortError

__version__ = "0.1.0"

__all__ = ["Emulator", "PortError"]
