"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import rich_click as click

from flyte.cli._moments import DATETIME_FORMS, DURATION_FORMS, parse_datetime, parse_duration

F = TypeVar("F", bound=Callable[..., Any])


def assignment(text: str) -> tuple[str, str]:
    """Type of an option `KEY=VALUE`; the first `=` splits, so the value may hold more of them."""
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise click.BadParameter(f"{text!r} is not of the form KEY=VALUE.")
    return key, value


def moment(text: str) -> datetime:
    """Type of an option that is a point in time; without an offset, on this machine's clock."""
    try:
        return parse_datetime(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"{error}. Expected {DATETIME_FORMS}.") from None


def duration(text: str) -> timedelta:
    """Type of an option that is a span of time."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}. Expected {DURATION_FORMS}.") from None


def priority(text: str) -> tuple[str, int]:
    """Type of an option `NAME=PRIORITY`."""
    name, number = assignment(text)
    try:
        return name, int(number)
    except ValueError:
        raise click.BadParameter(f"the priority of {name!r} is {number!r}: it must be a whole number.") from None


def quantity_of_cores(text: str) -> int:
    """Type of an option that is a number of cores, in thousandths."""
    return _quantity("cores", text, 1000)


def quantity_of_bytes(text: str) -> int:
    """Type of an option that is a size."""
    return _quantity("the size", text, 1)


def _quantity(what: str, text: str, factor: int) -> int:
    from flyte._authoring.quantities import parse_bytes, parse_cores

    try:
        number = int((parse_cores if factor == 1000 else parse_bytes)(what, text) * factor)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None
    if number < 1:
        raise click.BadParameter(f"{text!r} is nothing: attempts could take nothing at all.")
    return number


def project_options(command: F) -> F:
    """`--project` and `--domain`."""
    domain = click.option("-d", "--domain", metavar="NAME", help="Domain of the run; default the configured one.")
    return click.option("-p", "--project", metavar="NAME", help="Project of the run; default the configured one.")(
        domain(command)
    )


def place_options(command: F) -> F:
    """`--project` and `--domain` of what the command is about, where that is on a control plane."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            from flyte.cli._invocation import Invocation

            setattr(ctx.ensure_object(Invocation), parameter.name or "", value)

    for names, what in ((("-d", "--domain"), "Domain"), (("-p", "--project"), "Project")):
        option = click.option(
            *names,
            metavar="NAME",
            expose_value=False,
            callback=keep,
            help=f"{what} on the control plane; default the configured one.",
        )
        command = option(command)
    return command
