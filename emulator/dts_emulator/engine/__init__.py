"""The state and the rules of orchestration instances and entities: data and pure functions.

No clock, thread, lock, gRPC or SQL: callers pass the time in (nanoseconds since 1970, UTC), and
the rules return a list of effects, which the task hub applies.
"""
