"""Errors of calls as those who made them see them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flyte.errors import BaseRuntimeError, ResourceExhaustedError, UnionRpcError

if TYPE_CHECKING:
    from connectrpc.errors import ConnectError

    from flyte._rpc.endpoints import Endpoint

NOT_FOUND = "NotFound"
ALREADY_EXISTS = "AlreadyExists"
UNAVAILABLE = "Unavailable"
UNAUTHENTICATED = "Unauthenticated"
UNIMPLEMENTED = "Unimplemented"
INVALID_ARGUMENT = "InvalidArgument"
FAILED_PRECONDITION = "FailedPrecondition"

_NOT_TRUSTED = ("UnknownIssuer", "invalid peer certificate", "CERTIFICATE_VERIFY_FAILED")
_NOT_TLS = ("InvalidContentType", "InvalidMessage", "WRONG_VERSION_NUMBER")


def code_name(error: ConnectError) -> str:
    """The code of a failed call as errors of this package name it: `NotFound` for `not_found`."""
    return "".join(word.capitalize() for word in str(error.code.value).split("_"))


def never_arrived(error: BaseException) -> bool:
    """Whether a call failed before anything of it can have reached the server."""
    cause = error.__cause__
    return isinstance(cause, ConnectionError) and not isinstance(cause, ConnectionResetError | BrokenPipeError)


def was_cancelled(error: ConnectError) -> bool:
    """Whether the caller was cancelled, which the library tells as an error of the call."""
    return isinstance(error.__cause__, asyncio.CancelledError)


def as_flyte_error(error: ConnectError, endpoint: Endpoint, call: str) -> BaseRuntimeError:
    """What a failed call is raised as.

    Args:
        error: What the library raised.
        endpoint: Where the call went.
        call: Its name, such as `RunService.CreateRun`.
    """
    code, message = code_name(error), error.message.strip()
    match code:
        case "Unavailable" if _mentions(error, _NOT_TRUSTED):
            return UnionRpcError(
                code,
                f"the certificate of {endpoint} is not trusted ({_reason(error)}): name the one that signed it "
                f"(ca_cert_file_path=...), or take any with insecure_skip_verify=True.",
            )
        case "Unavailable" if _mentions(error, _NOT_TLS) and not endpoint.insecure:
            return UnionRpcError(
                code,
                f"{endpoint} was called with TLS and answers without ({_reason(error)}): set insecure=True, or use "
                "`flyte --insecure`.",
            )
        case "Unavailable" if never_arrived(error):
            start = "start one with `flyte start`" if endpoint.is_this_machine else "check the address and the network"
            return UnionRpcError(
                code,
                f"there is no control plane at {endpoint} ({_reason(error)}): {start}, or configure another endpoint.",
            )
        case "Unavailable" if error.__cause__ is not None:
            return UnionRpcError(
                code, f"the connection to {endpoint} broke during {call}: {_reason(error)}. Try again."
            )
        case "Unauthenticated":
            return UnionRpcError(
                code,
                f"the control plane at {endpoint} does not know who this is ({message or 'no reason given'}): give a "
                f"token with flyte.init(api_key=...) or FLYTE_API_KEY, or a program that prints one (admin.command).",
            )
        case "Unimplemented":
            return UnionRpcError(
                code, f"the control plane at {endpoint} does not offer {call}{f': {message}' if message else ''}."
            )
        case "ResourceExhausted":
            return ResourceExhaustedError(
                message or f"{call}: the control plane at {endpoint} asks for fewer requests."
            )
        case "DeadlineExceeded":
            return UnionRpcError(code, f"{call}: the control plane at {endpoint} did not answer in time. Try again.")
    return UnionRpcError(code, message or f"{call} failed at {endpoint} with {error.code.value}.")


def _mentions(error: BaseException, words: tuple[str, ...]) -> bool:
    text = str(error.__cause__ or "")
    return any(word in text for word in words)


def _reason(error: BaseException) -> str:
    text = str(error.__cause__ or error)
    # The library nests its causes; the innermost one is what happened.
    return text.rpartition(": ")[2].strip() or type(error.__cause__).__name__
