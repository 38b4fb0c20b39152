"""Errors of requests: the message is for the user, the class determines the call's status."""

from __future__ import annotations


class RefusedError(Exception):
    """A rejected request; it has changed nothing."""


class InvalidError(RefusedError):
    """The request is invalid in any state."""


class NotFoundError(RefusedError):
    """The subject of the request does not exist."""


class ExistsError(RefusedError):
    """The subject to create already exists."""


class ExhaustedError(RefusedError):
    """A limit is reached."""


class PreconditionError(RefusedError):
    """The request does not fit the current state."""


class UnavailableError(RefusedError):
    """The request cannot be served at present; a retry may succeed."""
