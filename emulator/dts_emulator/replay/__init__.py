"""Replay checks: whether an orchestrator's code still matches recorded histories."""
