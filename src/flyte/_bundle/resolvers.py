"""How a task is named on a command line, and found again in unpacked code.

    mod <module> instance <name>

The module is that of a file below a root folder: of the project where the task is named, of the bundle where it is
loaded. The name is that of the variable that holds the task there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

from flyte._authoring.task import TaskTemplate
from flyte._bundle.loaded_modules import INSTALLED
from flyte._bundle.module_loading import module_below
from flyte.errors import ModuleLoadError


class DefaultTaskResolver:
    """Finds tasks by module and variable.

    Attributes:
        import_path: What this resolver is called on command lines, in every release.
    """

    import_path = "flyte._internal.resolvers.default.DefaultTaskResolver"

    def loader_args(self, task: TaskTemplate[Any, Any, Any], root_dir: Path) -> list[str]:
        """What `load_task` needs to find the task again, given the files below `root_dir`.

        A task of the program's own file (`__main__`) is named by that file. What `override` made is found as the task
        that it was made from.

        Raises:
            ModuleLoadError: no variable of a module holds the task, or the module is no file below the folder.
        """
        module, variable = _place_of(task, root_dir)
        return ["mod", _module_name(task, module, root_dir), "instance", variable]

    def load_task(self, loader_args: Sequence[str], root: Path) -> TaskTemplate[Any, Any, Any]:
        """The task, its module imported from below `root`.

        `root`, and a `src` folder or the folder of a script in it, stay on `sys.path`, for what the task imports when
        it runs; after a failure they do not.

        Raises:
            ModuleLoadError: the arguments are of another form, there is no such module or it fails to import, or it
                holds no such task; the message says what there is.
        """
        module_name, variable = _parsed(loader_args)
        with module_below(root, module_name) as module:
            found = _held_at(module, variable)
            if not isinstance(found, TaskTemplate):
                raise ModuleLoadError(_nothing_there(module, module_name, variable, found))
            return found


def _parsed(loader_args: Sequence[str]) -> tuple[str, str]:
    match list(loader_args):
        case ["mod", str(module), "instance", str(variable)] if module and variable:
            return module, variable
    raise ModuleLoadError(
        f"a task is found by 'mod <module> instance <name>', got {' '.join(map(str, loader_args)) or 'nothing'!r}"
    )


def _place_of(task: TaskTemplate[Any, Any, Any], root: Path) -> tuple[ModuleType, str]:
    """The module that holds the task, and the variable it is held in: where its function is from, else any of ours."""
    declared_in = sys.modules.get(getattr(_function_of(task), "__module__", None) or "")
    roots = (f"{root.absolute()}{os.sep}", f"{root.resolve()}{os.sep}")
    ours = (module for module in list(sys.modules.values()) if _is_below(module, roots) and module is not declared_in)
    for module in chain([declared_in] if declared_in else [], ours):
        for is_it in (_is_same, _has_same_function):
            if (variable := _variable_of(task, module, is_it)) is not None:
                return module, variable
    raise ModuleLoadError(_not_held(task, declared_in))


def _function_of(task: TaskTemplate[Any, Any, Any]) -> Any:
    return getattr(task, "func", None)


def _held_at(module: ModuleType, path: str) -> Any:
    found: Any = module
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def _is_same(held: object, task: TaskTemplate[Any, Any, Any]) -> bool:
    return held is task


def _has_same_function(held: object, task: TaskTemplate[Any, Any, Any]) -> bool:
    function = _function_of(task)
    return function is not None and isinstance(held, TaskTemplate) and _function_of(held) is function


def _variable_of(
    task: TaskTemplate[Any, Any, Any], module: ModuleType, is_it: Callable[[object, TaskTemplate[Any, Any, Any]], bool]
) -> str | None:
    """The name of the function, where the module has the task under it, else of the first variable that holds it."""
    path = getattr(_function_of(task), "__qualname__", "")
    if path and is_it(_held_at(module, path), task):
        return str(path)
    return next((name for name, held in list(vars(module).items()) if is_it(held, task)), None)


def _is_below(module: object, roots: tuple[str, ...]) -> bool:
    file = _file_of(module)
    return file is not None and file.startswith(roots)


def _file_of(module: object) -> str | None:
    """The source file of a module; None for those without one, and for objects that only stand where modules do."""
    if not isinstance(module, ModuleType):
        return None
    file = vars(module).get("__file__")
    return file if isinstance(file, str) and file.endswith(".py") else None


def _not_held(task: TaskTemplate[Any, Any, Any], module: ModuleType | None) -> str:
    path = getattr(_function_of(task), "__qualname__", type(task).__name__)
    where = module.__name__ if module else "a module that is gone"
    if "<locals>" in path:
        outer = path.partition(".<locals>")[0]
        return (
            f"task {task.name!r} is declared inside {outer}() of {where}, and no variable of a module holds it, so "
            f"another process cannot find it. Declare it at module level, or keep what {outer}() returns in a variable "
            f"there."
        )
    return (
        f"task {task.name!r} ({path} of {where}) is in no variable of a module, so another process cannot find it. "
        f"Was another thing given its name? Keep it in a variable at module level."
    )


def _module_name(task: TaskTemplate[Any, Any, Any], module: ModuleType, root_dir: Path) -> str:
    """The dotted path of the module's file below the root folder."""
    file = _file_of(module)
    if file is None or _is_interactive(task, file):
        raise ModuleLoadError(
            f"task {task.name!r} is declared in {module.__name__!r}, which is no file, as in a notebook or at a "
            f"prompt: another process gets it pickled (a code bundle with pkl=), or from a file that you move it to."
        )
    path, root = Path(file).resolve(), root_dir.resolve()
    if module.__name__ != "__main__" and not INSTALLED.isdisjoint(path.parts):
        # A library, which is in the image and not in the bundle, also where its folder is below the root.
        return module.__name__
    if not path.is_relative_to(root):
        raise ModuleLoadError(
            f"task {task.name!r} is declared in {path}, which is outside the root folder {root}, so no code bundle "
            f"holds it. Choose a root folder above it: {os.path.commonpath([path.parent, root])}"
        )
    parts = path.relative_to(root).with_suffix("").parts
    if parts[-1] == "__init__" and len(parts) > 1:
        parts = parts[:-1]
    if dotted := [part for part in parts if "." in part]:
        raise ModuleLoadError(
            f"task {task.name!r} is declared in {path.relative_to(root)}, and {dotted[0]!r} cannot be part of a "
            f"module's name, as it has a dot. Rename it."
        )
    return ".".join(parts)


def _is_interactive(task: TaskTemplate[Any, Any, Any], file: str) -> bool:
    """Whether the program's file is that of a shell or a kernel, and not the one that declares the task."""
    source = task.source_file
    is_of_main = getattr(_function_of(task), "__module__", None) == "__main__"
    return is_of_main and source is not None and Path(source).resolve() != Path(file).resolve()


def _nothing_there(module: ModuleType, module_name: str, variable: str, found: object) -> str:
    where = f"module {module_name!r} ({_file_of(module)})"
    tasks = sorted(_tasks_of(module))
    said = f"{where} has no task {variable!r}"
    if found is not None:
        said = f"{variable!r} of {where} is no task but a {type(found).__name__}"
    if not tasks:
        return f"{said}; it has no tasks at all."
    from flyte._authoring.expectations import near_name

    return f"{said}; it has {', '.join(tasks)}.{near_name(variable, tasks)}"


def _tasks_of(module: ModuleType) -> Iterator[str]:
    return (name for name, held in list(vars(module).items()) if isinstance(held, TaskTemplate))
