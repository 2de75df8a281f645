"""How a command ends that could not do its work: a message on stderr and an exit code."""

from __future__ import annotations

import sys

import click

from flyte.cli._terminal import paint

FAILED = 1
WRONG_COMMAND = 2
INTERRUPTED = 130

_REFUSED = frozenset(
    {"AlreadyExists", "FailedPrecondition", "InvalidArgument", "NotFound", "OutOfRange", "PermissionDenied"}
    | {"Unauthenticated", "Unimplemented"}
)
"""Codes by which a control plane says that what it was asked for is wrong."""


class CommandError(click.ClickException):
    """The command was wrong: it names something that is not there, or asks for something that cannot be."""

    exit_code = WRONG_COMMAND


def report(error: Exception, *, with_traceback: bool) -> int:
    """Tell the user of an error that ended the command; the exit code it stands for.

    Args:
        error: What the command raised.
        with_traceback: Show where an error that is not the user's comes from.
    """
    if isinstance(error, click.ClickException):
        _report_click_error(error)
        return WRONG_COMMAND
    from flyte.errors import BaseRuntimeError, UnionRpcError

    if isinstance(error, BaseRuntimeError):
        print_error(str(error))
        is_refused = isinstance(error, UnionRpcError) and error.code in _REFUSED
        return WRONG_COMMAND if error.kind == "user" or is_refused else FAILED
    if with_traceback:
        import traceback

        traceback.print_exception(error)
    text = f"{type(error).__name__}: {error}"
    print_error(f"flyte itself failed: {text}. Please report it; `flyte -vvv ...` shows where.")
    return FAILED


def _report_click_error(error: click.ClickException) -> None:
    print_error(error.format_message())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        print(f"`{error.ctx.command_path} --help` shows how it is used.", file=sys.stderr)


def print_error(message: str) -> None:
    """`Error: message` on stderr."""
    print(paint("Error:", sys.stderr, fg="red", bold=True), message, file=sys.stderr, flush=True)
