"""`flyte build`: how building the images of environments went."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from flyte._authoring.environment import Environment
from flyte._authoring.image import image_of
from flyte._image.building import BuildRequest, build_one, builder_of, environments_below
from flyte.cli._documents import Column, print_document, print_table
from flyte.cli._environment_selection import Selection, environments_of, list_environments, path_of
from flyte.cli._errors import FAILED, print_error
from flyte.cli._invocation import OutputFormat
from flyte.cli._moments import show_duration
from flyte.cli._terminal import note
from flyte.errors import ImageBuildError


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
    path, variable = path_of(selection)
    if path.is_file() and variable is None and not selection.is_all:
        list_environments(path, selection, output, "builds the image of")
        return 0
    chosen = list(environments_of(path, variable, selection))
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
