"""The further files that environments name in `include`."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flyte._authoring.environment import Environment
from flyte._bundle.ignoring import IgnoreRules
from flyte._bundle.walking import Walk, is_below
from flyte.errors import CodeBundleError


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A path that somebody wants in the bundle.

    Attributes:
        path: Absolute; of a file, of a folder with all below it, or a pattern such as `conf/*.yaml`.
        by: Who wants it, for messages.
    """

    path: Path
    by: str


def inclusions_of(environments: Iterable[Environment]) -> tuple[Inclusion, ...]:
    """What the environments and all they depend on include, each path once."""
    found: dict[Path, Inclusion] = {}
    for environment in with_dependencies(environments):
        for path in environment.include_paths:
            found.setdefault(path, Inclusion(path, f"environment {environment.name!r}"))
    return tuple(found.values())


def with_dependencies(environments: Iterable[Environment]) -> tuple[Environment, ...]:
    """The environments and all they depend on, each once; they may depend on one another in a circle."""
    found: dict[int, Environment] = {}
    waiting = list(environments)[::-1]
    while waiting:
        environment = waiting.pop()
        if id(environment) not in found:
            found[id(environment)] = environment
            waiting.extend(reversed(environment.depends_on))
    return tuple(found.values())


def walk_inclusion(inclusion: Inclusion, root: str) -> Walk:
    """The files that an inclusion means. Of a folder the rules leave out some; a file that is named is in.

    Raises:
        CodeBundleError: there is no such file, it is outside the root, or it cannot be read.
    """
    walk = Walk(root, f"included by {inclusion.by}")
    for path in _paths_of(inclusion):
        real = os.path.realpath(path)
        anchored = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if not is_below(anchored, root) or not is_below(real, root):
            raise CodeBundleError(
                f"{inclusion.by} includes {path}, which is outside the root folder {root} of the bundle: move it "
                f"there, or make a folder above both the root with root_dir=... or --root-dir."
            )
        if os.path.isdir(path):
            walk.add_folder(real, IgnoreRules.above(real, root))
        else:
            walk.add_file(anchored)
    return walk


def _paths_of(inclusion: Inclusion) -> Iterator[str]:
    path = os.path.normpath(inclusion.path)
    if os.path.exists(path):
        yield path
        return
    found = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
    if not found:
        from flyte._authoring.expectations import near_name

        folder = os.path.dirname(path)
        names = os.listdir(folder) if os.path.isdir(folder) else []
        raise CodeBundleError(
            f"{inclusion.by} includes {path}, and there is no such file or folder."
            f"{near_name(os.path.basename(path), names)} Paths in include= are relative to the file that declares the "
            f"environment."
        )
    yield from found
