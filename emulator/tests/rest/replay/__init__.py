"""The command that replays histories, as people run it."""
