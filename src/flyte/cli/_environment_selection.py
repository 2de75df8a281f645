"""Which environments a command means: a file and a variable in it, or all of a file, a folder and those below."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import click

from flyte._authoring.environment import Environment
from flyte.cli._discovery import load_environments, near_files, python_files, task_folders
from flyte.cli._documents import Column, print_document, print_table
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
from flyte.cli._terminal import note


@dataclass(frozen=True, slots=True)
class Selection:
    """The arguments and options that say which environments.

    Attributes:
        place: A file or folder, a file in it, and the variable that holds an environment.
    """

    place: tuple[str, ...]
    root_dir: Path | None
    is_all: bool
    is_recursive: bool
    ignores_load_errors: bool


def path_of(selection: Selection) -> tuple[Path, str | None]:
    """The file or folder, and the name of a variable in the file.

    Raises:
        CommandError: there is no such file or folder.
        UsageError: the arguments and options do not go together.
    """
    path = Path()
    for number, part in enumerate(selection.place):
        if path.is_file():
            _check_arguments(selection, path, selection.place[number:])
            return path, part
        inner = path / part
        path = inner if inner.exists() else Path(part)
        if not path.exists():
            near = (
                [str(inner.with_name(each)) for each in near_files(part, inner.parent)] if inner.parent.is_dir() else []
            )
            hint = f"Did you mean {' or '.join(near)}?" if near else "Give the path of a Python file or folder."
            raise CommandError(f"there is no file or folder {part!r}. {hint}")
    _check_arguments(selection, path, ())
    return path, None


def _check_arguments(selection: Selection, path: Path, rest: tuple[str, ...]) -> None:
    if len(rest) > 1:
        raise click.UsageError(f"{' '.join(rest[1:])} is too much: one environment is named behind {path}.")
    if rest and (selection.is_all or selection.is_recursive):
        raise click.UsageError(f"{rest[0]} is one environment: leave it out, or --all and --recursive.")
    if path.is_file() and path.suffix != ".py":
        raise click.UsageError(f"{path} is not a Python file: its name does not end in .py.")
    if path.is_file() and (selection.is_recursive or selection.ignores_load_errors):
        option = "--recursive" if selection.is_recursive else "--ignore-load-errors"
        raise click.UsageError(f"{option} is for a folder, and {path} is a file.")
    if path.is_dir() and not (selection.is_all or selection.is_recursive):
        raise click.UsageError(
            f"{path} is a folder: name a file in it, or take all with --all, and with --recursive also those of the "
            f"folders below."
        )


def environments_of(path: Path, variable: str | None, selection: Selection) -> Iterator[Environment]:
    """The environments that are meant.

    Raises:
        CommandError: there is no such one, or a file cannot be imported.
    """
    if path.is_file():
        found = load_environments(path, selection.root_dir)
        if not found:
            raise CommandError(f"{path} has no environments, such as `env = flyte.TaskEnvironment(...)`.")
        if variable is not None and variable not in found:
            near = get_close_matches(variable, found, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"It has: {', '.join(found)}."
            raise CommandError(f"{path} has no environment {variable!r}. {hint}")
        yield from found.values() if variable is None else [found[variable]]
        return
    for file in _files_of(path, is_recursive=selection.is_recursive):
        try:
            yield from load_environments(file, selection.root_dir).values()
        except CommandError as error:
            if not selection.ignores_load_errors:
                raise
            note(f"left out: {error.message}")


def _files_of(folder: Path, *, is_recursive: bool) -> Iterator[Path]:
    yield from python_files(folder)
    if is_recursive:
        for each in sorted(path for path in folder.iterdir() if path in task_folders(folder)):
            yield from _files_of(each, is_recursive=True)


def list_environments(path: Path, selection: Selection, output: OutputFormat, verb: str) -> None:
    """The environments of a file.

    Args:
        path: The file.
        selection: What was asked for.
        output: How they are written.
        verb: What the command does with one of them.

    Raises:
        CommandError: it has none, or cannot be imported.
    """
    found = dict(load_environments(path, selection.root_dir))
    if output.is_document:
        print_document([{"variable": name, "environment": each.name} for name, each in found.items()], output)
    elif found:
        print_table(
            [Column("Variable"), Column("Environment")], [[name, each.name] for name, each in found.items()], output
        )
        command = click.get_current_context().command_path
        note(f"`{command} {path} VARIABLE` {verb} one of them, `{command} --all {path}` {verb} all.")
    else:
        raise CommandError(f"{path} has no environments, such as `env = flyte.TaskEnvironment(...)`.")
