"""Settings that a run cannot honour, and so does not accept."""

from __future__ import annotations

from flyte.errors import InitializationError

_INSTEAD = {
    "debug": "No process of this release starts an editor.",
    "notifications": "Nothing is sent when a run ends; wait for it.",
    "tracked": "Local runs are recorded on this machine alone.",
    "tracked_strict": "Local runs are recorded on this machine alone.",
    "local_tracked": "Local runs are recorded on this machine alone.",
    "local_tracked_strict": "Local runs are recorded on this machine alone.",
    "client_id": "No tokens are got from OAuth servers: give api_key, or a command that prints one.",
    "client_credentials_secret": "No tokens are got from OAuth servers: give api_key, or a command that prints one.",
}


def refuse_given(**settings: object) -> None:
    """Nothing, when none of these settings was given.

    Raises:
        InitializationError: code `NotAvailable`; one was, and this release cannot do what it asks for.
    """
    for name, value in settings.items():
        if value:
            shown = "..." if "secret" in name else repr(value)
            raise InitializationError(
                "NotAvailable",
                "user",
                f"{name}={shown} cannot be honoured: "
                f"{_INSTEAD.get(name, 'This release has nothing that could do it.')} Leave it out.",
            )


def refuse_locally(**settings: object) -> None:
    """Nothing, when none of these settings was given; for a local run.

    Raises:
        InitializationError: code `NotAvailableLocally`; one was, and only a control plane could do what it asks for.
    """
    for name, value in settings.items():
        if value:
            raise InitializationError(
                "NotAvailableLocally",
                "user",
                f"{name}={value!r} cannot be honoured by a local run, which has no control plane: leave it out, or run "
                f"with mode='remote'.",
            )
