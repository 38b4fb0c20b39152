"""A task hub: its lock, leases, timers and waiters, and the APIs of workers and clients."""
