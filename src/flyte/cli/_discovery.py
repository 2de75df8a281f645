"""Finding tasks: folders, files, and the tasks in a file."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from flyte.cli._errors import CommandError

if TYPE_CHECKING:
    from flyte import Environment, TaskTemplate

    Task = TaskTemplate[Any, Any, Any]

_OUR_FOLDER = f"{Path(__file__).parent.parent}{os.sep}"
_IMPORT_FOLDER = str(Path(importlib.__file__).parent)
_SKIPPED_FOLDERS = {"node_modules", "site-packages", "venv", "env"}


def python_files(folder: Path) -> list[Path]:
    """The Python files of a folder that may hold tasks, by name."""
    return sorted(path for path in folder.glob("*.py") if path.name != "__init__.py" and path.is_file())


def task_folders(folder: Path) -> list[Path]:
    """The folders in a folder that hold Python files, or whose own folders do, by name."""
    names = (path for path in folder.iterdir() if path.name[0] not in "._" and path.name not in _SKIPPED_FOLDERS)
    return sorted(path for path in names if path.is_dir() and _holds_python(path))


def _holds_python(folder: Path) -> bool:
    try:
        return any(folder.glob("*.py")) or any(folder.glob("[!._]*/*.py"))
    except OSError:
        return False


def load_tasks(file: Path, root: Path | None = None) -> dict[str, Task]:
    """The tasks of a file, by the name of the module's attribute that holds each.

    Args:
        file: A Python file. It is imported, not run as a script: `__name__` is not `__main__`.
        root: The folder that modules are named from; default the file's own, or where its package starts.

    Raises:
        CommandError: the file cannot be imported, or holds no task.
    """
    from flyte._authoring.task import TaskTemplate

    module = load_module(file, root)
    tasks = {name: value for name, value in vars(module).items() if isinstance(value, TaskTemplate)}
    if not tasks:
        raise CommandError(
            f"{file} has no tasks. A task is a function decorated with `@env.task`, where env is a TaskEnvironment."
        )
    return dict(sorted(tasks.items()))


def load_environments(file: Path, root: Path | None = None) -> dict[str, Environment]:
    """The environments of a file, by the name of the module's attribute that holds each; there may be none.

    Args:
        file: As in `load_tasks`.
        root: As in `load_tasks`.

    Raises:
        CommandError: the file cannot be imported.
    """
    from flyte._authoring.environment import Environment

    found = {name: value for name, value in vars(load_module(file, root)).items() if isinstance(value, Environment)}
    return dict(sorted(found.items()))


def load_module(file: Path, root: Path | None = None) -> ModuleType:
    """The module in a file, imported once; its folder and its root become importable.

    Raises:
        CommandError: its code fails while it is imported, or its name is taken.
    """
    path = file.resolve()
    from flyte._bundle.module_loading import package_root

    root = (root or package_root(path.parent)).resolve()
    if not path.is_relative_to(root):
        raise CommandError(f"{file} is not below the root folder {root} that --root-dir names.")
    _make_importable(root, path.parent)
    # A dot in a file's name would be read as a package.
    parts = [part.replace(".", "_") for part in path.relative_to(root).with_suffix("").parts]
    name = ".".join(parts)
    loaded = sys.modules.get(name)
    if loaded is not None:
        if _is_file_of(loaded, path):
            return loaded
        raise CommandError(f"{file} cannot be imported: Python uses another module named {name!r}. Rename the file.")
    return _import(name, path, file)


def _make_importable(root: Path, folder: Path) -> None:
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    if str(folder) not in sys.path:
        # At the end: a module of a package must not hide one of Python by its name.
        sys.path.append(str(folder))


def _is_file_of(module: ModuleType, path: Path) -> bool:
    origin = getattr(module, "__file__", None)
    return origin is not None and Path(origin).resolve() == path


def _import(name: str, path: Path, shown: Path) -> ModuleType:
    try:
        if "." in name and path.stem == name.rpartition(".")[2]:
            # Its packages come first, so that its relative imports work.
            return importlib.import_module(name)
        spec = spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        sys.modules.pop(name, None)
        raise CommandError(f"{shown} cannot be imported.\n\n{_user_error(error)}") from None
    return module


def _user_error(error: BaseException) -> str:
    """The error with the frames of the user's code, and none of ours or of the import system above it."""
    from flyte._controller.failures import user_traceback

    frames: TracebackType | None = error.__traceback__
    while frames is not None and _is_hidden(frames):
        frames = frames.tb_next
    return user_traceback(error.with_traceback(frames)).rstrip()


def _is_hidden(frame: TracebackType) -> bool:
    file_name = frame.tb_frame.f_code.co_filename
    return file_name.startswith((_OUR_FOLDER, _IMPORT_FOLDER, "<frozen importlib"))


def near_files(name: str, folder: Path) -> Iterator[str]:
    """Names in a folder close to one that is not there."""
    from difflib import get_close_matches

    there = [path.name for path in (*python_files(folder), *task_folders(folder))]
    yield from get_close_matches(Path(name).name, there, n=3)
