"""The classes of our commands: groups whose members load when used, and errors that say what to type instead."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

import rich_click as click
from click import NoSuchOption

from flyte.cli import _errors

F = TypeVar("F", bound=Callable[..., Any])


def _parse_with_hints(
    parse: Callable[[click.Context, list[str]], list[str]], ctx: click.Context, args: list[str]
) -> list[str]:
    try:
        return parse(ctx, list(args))
    except NoSuchOption as error:
        # Of `-of`, the parser only names `-o`.
        typed = [arg.partition("=")[0] for arg in args if arg.startswith(error.option_name)]
        for option in (error.option_name, *typed):
            if owner := _owner_of(option, ctx.parent):
                path = owner.command_path
                raise click.UsageError(
                    f"{option} is an option of `{path}`: write it there, `{path} {option} ...`.", ctx
                ) from None
        raise


def _owner_of(option: str, ctx: click.Context | None) -> click.Context | None:
    while ctx is not None:
        for parameter in ctx.command.params:
            if option.replace("_", "-") in (*parameter.opts, *parameter.secondary_opts):
                return ctx
        ctx = ctx.parent
    return None


class Command(click.RichCommand):
    """A command that tells a misplaced option from an unknown one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return _parse_with_hints(super().parse_args, ctx, args)


class Group(click.RichGroup):
    """A group whose members are imported when they are used.

    Args:
        members: By name, `module:attribute` of the command.
        absent: By name, why a command of the official distribution is not here.
    """

    exit_code_of_listing = _errors.WRONG_COMMAND
    """How a call without any argument ends; its help is printed."""

    def __init__(
        self,
        *args: Any,
        members: Mapping[str, str] | None = None,
        absent: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._members = dict(members or {})
        self._absent = dict(absent or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted((*super().list_commands(ctx), *self._members))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        reference = self._members.get(cmd_name)
        if reference is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = reference.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit(self.exit_code_of_listing)
        return _parse_with_hints(super().parse_args, ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in self._absent:
            raise click.UsageError(f"`{ctx.command_path} {name}` {self._absent[name]}", ctx)
        if not name.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            raise click.UsageError(self.unknown_command(ctx, name), ctx)
        return super().resolve_command(ctx, args)

    def unknown_command(self, ctx: click.Context, name: str) -> str:
        """The message for a name that is no command of this group."""
        from difflib import get_close_matches

        known = self.list_commands(ctx)
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
        return f"`{ctx.command_path}` has no command {name!r}. {hint}"


class RootGroup(Group):
    """The group that turns what goes wrong in any command into a message and an exit code."""

    def main(self, args: Any = None, prog_name: str | None = None, *more: Any, **extra: Any) -> Any:
        arguments = sys.argv[1:] if args is None else list(args)
        try:
            result = super().main(arguments, prog_name or "flyte", *more, **{**extra, "standalone_mode": False})
            code = result if isinstance(result, int) else 0
        except click.Abort:
            code = _errors.INTERRUPTED
        except Exception as error:
            code = _errors.report(error, with_traceback="-vvv" in arguments)
        sys.exit(code)


def refused(*names: str, why: str, takes_value: bool = True) -> Callable[[F], F]:
    """A hidden option that ends the command with `why`: known elsewhere, and without a meaning here."""

    def refuse(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if ctx.get_parameter_source(parameter.name or "") is not None and value not in (None, False, ()):
            raise click.UsageError(f"{parameter.opts[0]} {why}", ctx)

    shape: dict[str, Any] = {} if takes_value else {"is_flag": True}
    return click.option(*names, hidden=True, expose_value=False, is_eager=True, callback=refuse, **shape)
