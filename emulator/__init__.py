"""A Docker-free stand-in for the Durable Task Scheduler emulator: `python -m emulator`."""

from emulator.server import Emulator, PortError

__all__ = ["Emulator", "PortError"]
