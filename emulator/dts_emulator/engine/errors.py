"""Why a request is refused: the message is for the user, the kind becomes the call's status."""

from __future__ import annotations


class RefusedError(Exception):
    """A request that changes nothing, because of what it asks for."""


class InvalidError(RefusedError):
    """The request itself is wrong, whatever the state."""


class NotFoundError(RefusedError):
    """What the request names does not exist."""


class ExistsError(RefusedError):
    """What the request wants to create exists already."""


class ExhaustedError(RefusedError):
    """There is no room for more."""


class PreconditionError(RefusedError):
    """The request does not go with the present state."""


class UnavailableError(RefusedError):
    """What the request asks for cannot be done at present; it can be later."""
