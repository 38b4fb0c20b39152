"""What orchestration instances and entities are, and how they change: data and pure functions.

No clock, thread, lock, gRPC or SQL: the time is passed in (nanoseconds since 1970, UTC), and what
has to happen elsewhere comes out as a list of effects, which the task hub carries out.
"""
