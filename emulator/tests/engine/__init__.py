"""The rules of the service, without a server."""
