"""gRPC in and out: one method for each RPC of the protocol."""
