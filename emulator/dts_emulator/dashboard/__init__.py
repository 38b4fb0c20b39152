"""The web pages on port 8082: task hubs, their orchestration instances, and each one's steps."""

from dts_emulator.dashboard.app import create_app

__all__ = ["create_app"]
