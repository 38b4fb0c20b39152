"""Replay checks: whether an orchestrator's code still fits the histories that it has left."""
