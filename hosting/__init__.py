"""What a worker and a client need around their workflow: connection, signals, outages, logs."""
