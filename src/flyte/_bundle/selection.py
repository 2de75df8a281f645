"""Choosing the files of a bundle."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

from flyte._authoring.environment import Environment
from flyte._bundle.ignoring import IgnoreRules
from flyte._bundle.including import Inclusion, inclusions_of, walk_inclusion
from flyte._bundle.lazy_imports import lazily_imported
from flyte._bundle.loaded_modules import loaded_files, project_filter
from flyte._bundle.plans import BundlePlan, CopyStyle, PlannedFile, SkippedPath, checked_root, checked_style
from flyte._bundle.walking import Walk, relative_to


def plan_bundle(
    root: Path | str | None = None,
    *,
    copy_style: str = "loaded_modules",
    environments: Iterable[Environment] = (),
    include: Iterable[Inclusion] = (),
    modules: Mapping[str, ModuleType] | None = None,
) -> BundlePlan:
    """What a bundle would hold, with the reason for each file, and what was left out.

    Args:
        root: The folder that paths in the bundle are relative to; default the working directory.
        copy_style: `loaded_modules` takes the files of the modules that were imported from below the root, and of those
            that they import inside functions; `all` every file below the root that no rule leaves out; `custom` nothing
            by itself. To each of them comes what environments include. `none` takes nothing at all: the image has the
            code.
        environments: Those whose `include` counts, with all they depend on.
        include: Further files.
        modules: The imported modules by name; default those of this process.

    Raises:
        CodeBundleError: the root is a home folder or none, an included file is missing or outside, or something cannot
            be read.
    """
    style = checked_style(copy_style)
    folder = checked_root(root)
    if style == "none":
        return BundlePlan(folder, style, ())
    walks = [walk_inclusion(each, str(folder)) for each in (*inclusions_of(environments), *include)]
    if style == "all":
        walks.append(_walk_all(folder))
    elif style == "loaded_modules":
        walks.append(_walk_modules(folder, modules))
    return _merged(folder, style, walks)


def _walk_all(folder: Path) -> Walk:
    walk = Walk(str(folder), "below the root")
    walk.add_folder(str(folder), IgnoreRules.at(folder))
    return walk


def _walk_modules(folder: Path, modules: Mapping[str, ModuleType] | None) -> Walk:
    root = str(folder)
    walk = Walk(root, "")
    loaded = loaded_files(root, modules)
    later = lazily_imported(loaded, root, project_filter(root))
    reasons = {path: f"module {name}" for path, name in loaded.items()}
    reasons |= {path: f"imported in {relative_to(importer, root)}" for path, importer in later.items()}
    for path, reason in reasons.items():
        # What a module was run from may be no file, as `<stdin>` is none.
        if os.path.exists(path):
            walk.reason = reason
            walk.add_file(path)
    return walk


def _merged(folder: Path, style: CopyStyle, walks: Iterable[Walk]) -> BundlePlan:
    files: dict[str, PlannedFile] = {}
    skipped: dict[str, SkippedPath] = {}
    for walk in walks:
        # Included files come first, so that their reason is the one that is shown.
        files = {**walk.files, **files}
        skipped |= walk.skipped
    left_out = {name: each for name, each in skipped.items() if name not in files}
    return BundlePlan(
        folder,
        style,
        tuple(files[name] for name in sorted(files)),
        tuple(left_out[name] for name in sorted(left_out)),
    )
