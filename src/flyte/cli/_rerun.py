"""`flyte rerun`: a new run with the inputs of an earlier one, whose task's inputs are options again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.core import ParameterSource

from flyte.cli._commands import Command, Group
from flyte.cli._invocation import RunSettings, current_invocation
from flyte.cli._options import assignment, project_options

if TYPE_CHECKING:
    from flyteidl2.task.common_pb2 import Inputs

_ROOT = "a0"
_ACTION_OPTION = "--action-name"


def _options(command: Any) -> Any:
    """The options of a rerun, which may stand before and after the name of the run."""
    for option in (
        click.option("-f", "--follow", is_flag=True, help="Of a served run: show what it prints, and how it ends."),
        project_options,
        click.option(
            "--label", "labels", type=assignment, metavar="KEY=VALUE", multiple=True, help="Label; repeatable."
        ),
        click.option(
            "-e",
            "--env",
            "env_vars",
            type=assignment,
            metavar="KEY=VALUE",
            multiple=True,
            help="Environment variable of the new run; repeatable.",
        ),
        click.option("--name", help="Name of the new run; a fresh one by default."),
        click.option(_ACTION_OPTION, metavar="ACTION", default=_ROOT, help="Run the task of this action alone."),
        click.option("--allow-missing-outputs", is_flag=True, help="Run again whose recorded outputs are gone."),
        click.option(
            "--force-rerun-action",
            "forced",
            metavar="ACTION",
            multiple=True,
            help="With --recover: run this action again all the same; repeatable.",
        ),
        click.option("--recover", is_flag=True, help="Take over what succeeded, and run the rest."),
    ):
        command = option(command)
    return command


class RerunGroup(Group):
    """Takes the name of a run as its command: the inputs of the task of that run are its options."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        run_name, *rest = args
        if run_name.startswith("-"):
            return super().resolve_command(ctx, args)
        action_name = _value_of(_ACTION_OPTION, rest) or ctx.params["action_name"]
        return run_name, _rerun_command(run_name, action_name, ctx.params), rest


def _value_of(option: str, arguments: list[str]) -> str | None:
    """What an option is given, wherever it stands: it decides which options there are."""
    for argument, following in pairwise([*arguments, ""]):
        if argument == option:
            return following
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return None


@_options
@click.group(cls=RerunGroup, subcommand_metavar="RUN [INPUTS]...")
def rerun(**options: Any) -> None:
    """Run the task of an earlier run again, as a new run with the same inputs, where that one was run.

    flyte rerun RUN --help shows the inputs, which can be changed. With --recover, what succeeded is not run again.
    """


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What is run again.

    Attributes:
        interface_of: The task, or one with its inputs.
        recorded: Inputs as they were, as texts.
        is_served: A control plane runs it.
    """

    run_name: str
    action_name: str
    task_name: str
    interface_of: Any
    recorded: dict[str, str]
    is_served: bool


def _rerun_command(run_name: str, action_name: str, options: Mapping[str, Any]) -> RerunCommand:
    from flyte.cli._task_command import task_command

    earlier = _load(run_name, action_name, options)
    inputs = task_command(run_name, earlier.interface_of)
    for option in inputs.params:
        option.required = False
        option.show_recorded(earlier.recorded.get(option.input_name))  # type: ignore[attr-defined]
    command = RerunCommand(earlier, name=run_name, help=inputs.help, context_settings=inputs.context_settings)
    taken = {name for option in inputs.params for name in (option.name, *option.opts)}
    # Where an input has the name of one of our options, the option can only stand before the run.
    own = [
        option
        for option in _options(click.command(cls=Command)(lambda: None)).params
        if taken.isdisjoint((option.name, *option.opts))
    ]
    command.params = [*inputs.params, *own]
    command.own_options = frozenset(option.name for option in own)
    return command


def _load(run_name: str, action_name: str, options: Mapping[str, Any]) -> _Earlier:
    """The earlier run, where this machine or the control plane that is configured has it."""
    from flyte._run.rerunning import load_source
    from flyte._store.listing import LOCAL
    from flyte.cli._plane import is_configured
    from flyte.cli._recorded import open_run
    from flyte.cli._sources import import_source

    if is_configured():
        return _load_served(run_name, action_name, options)
    with open_run(run_name) as (store, run):
        if run.mode == LOCAL:
            import_source(run)
            source = load_source(store, run, action_name)
            return _Earlier(
                run_name, action_name, source.task.name, source.task, _shown(source.inputs), is_served=False
            )
    return _load_served(run_name, action_name, {"project": run.project, "domain": run.domain})


def _load_served(run_name: str, action_name: str, options: Mapping[str, Any]) -> _Earlier:
    from flyteidl2.task.common_pb2 import Inputs

    from flyte.cli._plane import connect
    from flyte.cli._plane_records import PlaneRecords
    from flyte.remote import TaskDetails

    connect(options["project"], options["domain"])
    records = PlaneRecords()
    action = records.load_action(records.load_run(run_name), action_name)
    task = TaskDetails(records.task_of(action))
    inputs = Inputs.FromString(records.load_inputs(action) or b"")
    return _Earlier(run_name, action_name, task.name, task, _shown(inputs), is_served=True)


def _shown(inputs: Inputs) -> dict[str, str]:
    from flyte.cli._literals import show_value, value_of

    return {each.name: show_value(value_of(each.value)) for each in inputs.literals}


@dataclass(frozen=True, slots=True)
class _Given:
    """What stood on the command line: before the name of the run, and after it."""

    before: click.Context
    after: click.Context
    own_options: frozenset[str]

    def value(self, name: str) -> Any:
        """Of an option that is given once; what stands later wins."""
        is_after = name in self.own_options and self.after.get_parameter_source(name) is ParameterSource.COMMANDLINE
        return self.after.params[name] if is_after else self.before.params[name]

    def values(self, name: str) -> Iterator[Any]:
        """Of an option that is repeatable."""
        yield from self.before.params[name]
        yield from self.after.params[name] if name in self.own_options else ()


class RerunCommand(Command):
    """Runs the task of an earlier run again with the inputs that its options give in place of the recorded ones.

    Attributes:
        own_options: Names of its options that are no inputs.
    """

    own_options: frozenset[str] = frozenset()

    def __init__(self, earlier: _Earlier, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._earlier = earlier

    def invoke(self, ctx: click.Context) -> Any:
        from flyte.cli._task_command import InputOption

        if ctx.args:
            raise click.UsageError(f"{ctx.args[0]!r} belongs to no input: inputs are given by name, --name value.", ctx)
        assert ctx.parent is not None
        given = _Given(ctx.parent, ctx, self.own_options)
        inputs = {
            option.input_name: ctx.params[option.input_name]
            for option in self.params
            if isinstance(option, InputOption)
            and ctx.get_parameter_source(option.input_name) is ParameterSource.COMMANDLINE
        }
        settings = RunSettings(
            name=given.value("name"),
            project=given.value("project"),
            domain=given.value("domain"),
            env_vars=dict(given.values("env_vars")),
            labels=dict(given.values("labels")),
            follow=given.value("follow"),
        )
        arguments = (
            self._earlier.run_name,
            self._earlier.action_name,
            given.value("recover"),
            list(given.values("forced")),
            given.value("allow_missing_outputs"),
        )
        if self._earlier.is_served:
            self._start(settings, arguments, inputs)
        elif settings.follow:
            raise click.UsageError("--follow is for served runs: a run here is shown as it goes on. Leave it out.", ctx)
        else:
            self._carry_out(settings, arguments, inputs)

    def _start(self, settings: RunSettings, arguments: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        from flyte.cli._served_run import served_runner, start_served

        runner = served_runner(replace(settings, run_place=(settings.project, settings.domain)))
        again: Any = partial(runner.rerun, *arguments, **inputs)
        start_served(self._earlier.task_name, again, follows=settings.follow)

    def _carry_out(self, settings: RunSettings, arguments: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        from flyte.cli._execution import follow, runner_of

        runner = runner_of(current_invocation(), settings)
        again: Any = partial(runner.rerun, *arguments, **inputs)
        follow(self._earlier.task_name, runner.progress, again)
