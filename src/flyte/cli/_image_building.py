"""Which environments `flyte build` means, and how building their images went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from flyte._authoring.environment import Environment
from flyte._authoring.image import image_of
from flyte._image.building import BuildRequest, build_one, builder_of, environments_below
from flyte.cli._discovery import load_environments, near_files, python_files, task_folders
from flyte.cli._documents import Column, print_document, print_table
from flyte.cli._errors import FAILED, CommandError, print_error
from flyte.cli._invocation import OutputFormat
from flyte.cli._moments import show_duration
from flyte.cli._terminal import note
from flyte.errors import ImageBuildError


@dataclass(frozen=True, slots=True)
class Selection:
    """The arguments and options of `flyte build` that say which environments.

    Attributes:
        place: A file or folder, a file in it, and the variable that holds an environment.
    """

    place: tuple[str, ...]
    root_dir: Path | None
    is_all: bool
    is_recursive: bool
    ignores_load_errors: bool


@dataclass(frozen=True, slots=True)
class Built:
    """How building the image of one environment went; it has an address or an error."""

    environment: str
    uri: str | None
    elapsed_s: float
    error: str | None = None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "environment": self.environment,
            "image": self.uri,
            "elapsed_s": round(self.elapsed_s, 3),
            "error": self.error,
        }


def build_selected(selection: Selection, request: BuildRequest, output: OutputFormat) -> int:
    """The images of the environments that are meant are built, the exit code says whether all of them.

    Raises:
        CommandError: there is no such file, folder or environment, or a file cannot be imported.
        ImageBuildError: there is no such builder.
    """
    path, variable = _path_of(selection)
    if path.is_file() and variable is None and not selection.is_all:
        _list_environments(path, selection, output)
        return 0
    chosen = list(_environments_of(path, variable, selection))
    builder = builder_of(request)
    if not chosen:
        note(f"{path} has no environments: nothing is built.")
    results = [_build(each, request) for each in environments_below(chosen)]
    if output.is_document:
        print_document([each.document() for each in results], output)
    elif any(each.error is None for each in results):
        columns = [Column("Environment", is_kept_whole=True), Column("Image", is_kept_whole=True), Column("Time")]
        shown = [each for each in results if each.error is None]
        rows = [[each.environment, each.uri or "none", show_duration(each.elapsed_s)] for each in shown]
        print_table(columns, rows, output)
    failed = [each for each in results if each.error is not None]
    for each in failed:
        print_error(f"environment {each.environment!r}: {each.error}")
    if results and not failed:
        note(f"{'Can be built' if request.dry_run else 'Built'} with {builder}: {len(results)} of {len(results)}.")
    return FAILED if failed else 0


def _build(environment: Environment, request: BuildRequest) -> Built:
    started = time.monotonic()
    image = image_of(environment.image)
    try:
        uri = None if image is None else build_one(image, request)
    except ImageBuildError as error:
        return Built(environment.name, None, time.monotonic() - started, str(error))
    return Built(environment.name, uri, time.monotonic() - started)


def _path_of(selection: Selection) -> tuple[Path, str | None]:
    """The file or folder, and the name of a variable in the file."""
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
            f"{path} is a folder: name a file in it, or build all with --all, and with --recursive also those of the "
            f"folders below."
        )


def _environments_of(path: Path, variable: str | None, selection: Selection) -> Iterator[Environment]:
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


def _list_environments(path: Path, selection: Selection, output: OutputFormat) -> None:
    found = dict(load_environments(path, selection.root_dir))
    if output.is_document:
        print_document([{"variable": name, "environment": each.name} for name, each in found.items()], output)
    elif found:
        print_table(
            [Column("Variable"), Column("Environment")], [[name, each.name] for name, each in found.items()], output
        )
        note(f"`flyte build {path} VARIABLE` builds the image of one of them, `flyte build --all {path}` those of all.")
    else:
        raise CommandError(f"{path} has no environments, such as `env = flyte.TaskEnvironment(...)`.")
