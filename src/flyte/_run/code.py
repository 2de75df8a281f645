"""The code that a run was started with, kept as a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte._logging import system_logger
from flyte._run.initialization import settings
from flyte.errors import CodeBundleError, StorageError
from flyte.models import CodeBundle

if TYPE_CHECKING:
    from flyte._authoring.task import TaskTemplate

DEFAULT_STYLE = "loaded_modules"


def keep_code(task: TaskTemplate[Any, Any, Any], copy_style: str | None) -> CodeBundle | None:
    """The bundle of the code around a task, in the home folder; None where none is wanted, or none can be made.

    Processes of this machine import the code from where it is. The bundle is what a person can look at later.

    Args:
        task: The root task of a run.
        copy_style: As of `plan_bundle`. None is the default, and that a run goes on without a bundle that cannot be
            made, with a warning.

    Raises:
        CodeBundleError: a copy style was chosen, and there is no such bundle.
    """
    from flyte._bundle.building import build_bundle
    from flyte._bundle.pickled import build_pickled_bundle
    from flyte._bundle.selection import plan_bundle

    try:
        if _source_of(task) is None and copy_style is None:
            bundle: CodeBundle | None = build_pickled_bundle(task)
        else:
            environment = task.parent_env() if task.parent_env is not None else None
            environments = () if environment is None else (environment,)
            style = copy_style or DEFAULT_STYLE
            bundle = build_bundle(plan_bundle(_root_of(task), copy_style=style, environments=environments))
    except (CodeBundleError, StorageError, OSError) as error:
        if copy_style is not None:
            raise
        system_logger.warning("the code of this run is not kept: %s", error)
        return None
    return None if bundle is None else replace(bundle, files=None)


def code_settings(bundle: CodeBundle | None) -> dict[str, str] | None:
    """What is recorded of a run's code."""
    if bundle is None:
        return None
    kind, address = ("tgz", bundle.tgz) if bundle.tgz is not None else ("pkl", bundle.pkl)
    return {"version": bundle.computed_version, kind: str(address)}


def recorded_code(settings_of_run: Mapping[str, Any]) -> CodeBundle | None:
    """The bundle that a run's settings tell of; None where it kept none."""
    kept = settings_of_run.get("code_bundle")
    if not kept:
        return None
    return CodeBundle(computed_version=kept["version"], tgz=kept.get("tgz"), pkl=kept.get("pkl"))


def _root_of(task: TaskTemplate[Any, Any, Any]) -> Path | None:
    """The project's folder: the one that was named, else the working directory, else the folder of the file."""
    if settings().root_dir is not None:
        return settings().root_dir
    source = _source_of(task)
    if source is None or source.is_relative_to(Path.cwd().resolve()):
        return None
    from flyte._bundle.module_loading import package_root

    return package_root(source.parent)


def _source_of(task: TaskTemplate[Any, Any, Any]) -> Path | None:
    """The file of a task; None for one of a notebook or a prompt."""
    if not task.source_file:
        return None
    path = Path(task.source_file).resolve()
    return path if path.is_file() else None
