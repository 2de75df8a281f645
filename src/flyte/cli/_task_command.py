"""A command for a task: an option for each of its inputs."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from datetime import date, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.core import ParameterSource

from flyte.cli._commands import Command
from flyte.cli._inputs import expected_form, input_error, needs_no_words, parse_input
from flyte.cli._invocation import RunSettings
from flyte.cli._json_values import Mismatch
from flyte.cli._type_texts import is_union, plain, show_type

if TYPE_CHECKING:
    from flyte import TaskTemplate
    from flyte.remote import TaskDetails

    Task = TaskTemplate[Any, Any, Any]

_EMPTY = inspect.Parameter.empty


def task_command(name: str, task: Task | TaskDetails) -> TaskCommand:
    """The command `name` that runs `task`; of a deployed one, its options are those of one that does."""
    interface = task.interface
    documentation = interface.docstring
    descriptions = documentation.input_descriptions if documentation else {}
    options: list[click.Parameter] = [
        _option(input_name, annotation, default, descriptions.get(input_name), set(interface.inputs))
        for input_name, (annotation, default) in sorted(interface.inputs.items())
    ]
    parts = (documentation.short_description, documentation.long_description) if documentation else ()
    return TaskCommand(
        task,
        name=name,
        params=options,
        help="\n\n".join(part for part in parts if part) or f"Run {task.name}.",
        context_settings={"allow_extra_args": True, "token_normalize_func": _with_underscores},
    )


def _with_underscores(token: str) -> str:
    return token.replace("-", "_")


class TaskCommand(Command):
    """Runs a task with the inputs that its options give."""

    def __init__(self, task: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._task = task

    def invoke(self, ctx: click.Context) -> Any:
        from flyte.cli._execution import execute

        given = given_inputs(self, ctx, f"task {self.name}")
        execute(self._task, given, ctx.find_object(RunSettings) or RunSettings())


def given_inputs(command: click.Command, ctx: click.Context, what: str) -> dict[str, Any]:
    """The inputs that the options of a command give, and those that are something when they are not given.

    Raises:
        UsageError: one is missing, or something belongs to none.
    """
    if ctx.args:
        raise click.UsageError(_explain_extra(command, ctx.args[0]), ctx)
    given: dict[str, Any] = {}
    missing = []
    for option in command.params:
        assert isinstance(option, InputOption)
        name = option.input_name
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            given[name] = ctx.params[name]
        elif option.required:
            missing.append(f"--{name} ({show_type(option.annotation)})")
        elif option.absent is not _EMPTY:
            given[name] = option.absent
    if missing:
        raise click.UsageError(f"{what} needs {', '.join(missing)}.", ctx)
    return given


def _explain_extra(command: click.Command, argument: str) -> str:
    flags = [option for option in command.params if isinstance(option, InputOption) and option.is_flag]
    hint = f" A flag takes no value: --{flags[0].input_name} or --no-{flags[0].input_name}." if flags else ""
    return f"{argument!r} belongs to no input: inputs are given by name, --name value.{hint}"


class InputOption(click.RichOption):
    """The option of one input.

    Attributes:
        absent: What the input is when the option is not given; empty to leave it to the task.
    """

    def __init__(
        self, names: list[str], *, input_name: str, annotation: Any, absent: Any, shown: Any, **kwargs: Any
    ) -> None:
        super().__init__([input_name, *names], default=None, show_default=shown is not None, **kwargs)
        self.input_name = input_name
        self.annotation = annotation
        self.absent = absent
        self._shown = shown

    def show_recorded(self, text: str | None) -> None:
        """Help shows this as what the input is when the option is not given."""
        self._shown = text
        self.show_default = text is not None

    def get_default(self, ctx: click.Context, call: bool = True) -> Any:
        # The task knows its default itself; here it is only shown.
        return None if call else self._shown

    def value_is_missing(self, value: Any) -> bool:
        # All missing inputs are named together, not the first one alone.
        return False


def _option(name: str, annotation: Any, default: Any, description: str | None, taken: set[str]) -> InputOption:
    bare = plain(annotation)
    is_flag = bare is bool
    names = [f"--{name}"]
    if is_flag:
        names = [f"--{name}" if f"no_{name}" in taken else f"--{name}/--no-{name}"]
    absent: Any = _EMPTY
    if default is _EMPTY and is_flag:
        absent = False
    elif default is _EMPTY and is_union(bare) and types.NoneType in typing.get_args(bare):
        absent = None
    form = "" if is_flag or needs_no_words(annotation) else f"{expected_form(annotation)}."
    text = " ".join(part for part in (" ".join((description or "").split()), form) if part)
    return InputOption(
        names,
        input_name=name,
        annotation=annotation,
        absent=absent,
        shown=_show_default(default if absent is _EMPTY else absent),
        required=default is _EMPTY and absent is _EMPTY,
        help=text,
        type=None if is_flag else _reader(names[0], annotation, default),
        metavar=None if is_flag else show_type(annotation),
        is_flag=is_flag,
    )


def _reader(option: str, annotation: Any, default: Any) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return parse_input(text, annotation, default)
        except Mismatch as error:
            raise click.UsageError(input_error(option, text, annotation, error)) from None

    return read


def _show_default(default: Any) -> Any:
    """The default as help shows it; of a flag the value itself, which click spells as the option that gives it."""
    if default is _EMPTY or isinstance(default, bool):
        return None if default is _EMPTY else default
    if isinstance(default, Enum):
        return default.name
    if isinstance(default, datetime | date):
        return default.isoformat()
    return str(default) if isinstance(default, str | int | float | timedelta | None) else repr(default)
