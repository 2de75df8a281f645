"""Why a request is refused; services turn each into the error code of the protocol."""

from __future__ import annotations


class RefusedError(Exception):
    """A request that is not carried out; the text is for whoever made it. Nothing has changed."""


class InvalidRequestError(RefusedError):
    """The request asks for something that cannot be: code `invalid_argument`."""


class UnknownError(RefusedError):
    """What it names is not there: code `not_found`."""


class AlreadyThereError(RefusedError):
    """What it would make is there already: code `already_exists`."""


class NotNowError(RefusedError):
    """What it names is in a state in which that cannot be done: code `failed_precondition`."""


class RunAbortedError(RefusedError):
    """Its run is over, so nothing more is done for it: code `aborted`."""


class TooBusyError(RefusedError):
    """Later: too much waits already. Code `resource_exhausted`."""


class NotOfferedError(RefusedError):
    """This server does nothing of that kind: code `unimplemented`."""
