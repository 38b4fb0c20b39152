"""A task hub: one lock; leases, timers, waiters, and what workers and clients ask for."""
