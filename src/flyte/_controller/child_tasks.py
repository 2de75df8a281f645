"""How a process of its own finds the task it is to run."""

from __future__ import annotations

import importlib
import json
import pickle
import runpy
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from flyte._controller.calls import Task
from flyte.errors import ModuleLoadError, RuntimeUserError

_MAIN = "__main__"
_CHILDS_MAIN = "__mp_main__"


@dataclass(frozen=True, slots=True)
class TaskReference:
    """A task, for another process that imports the same code.

    Attributes:
        pickled: The task by the name it has in its module, with what `override` changed.
        file: The module's file.
        main: How `multiprocessing` imports the program's own file, where the task is declared there.
        code_version: Of the task here; the other process must find the same. None where it need not.
        is_whole: The pickle holds the code itself; nothing is imported for it.
    """

    pickled: bytes
    module: str
    file: str | None
    main: dict[str, str] | None
    code_version: str | None
    is_whole: bool = False

    def module_as_text(self) -> str:
        """Its module, for `import_module_of`."""
        return json.dumps([self.module, self.file, self.main])


def import_module_of(text: str) -> None:
    """The module that `module_as_text` tells of is imported in this process."""
    name, file, main = json.loads(text)
    if main is not None:
        _import_main(main)
    else:
        _import(name, file)


def reference_with_code(task: Task) -> TaskReference:
    """A reference to a task that no other process could import: it holds the code.

    Raises:
        RuntimeUserError: code `TaskNotPicklable`; it holds something that cannot leave this process.
    """
    try:
        pickled = _with_code(task)
    except Exception as error:
        raise RuntimeUserError(
            "TaskNotPicklable",
            f"task {task.name!r} is declared where another process cannot import it, and cannot be pickled either: "
            f"{type(error).__name__}: {error}. Declare it at the top level of a module.",
        ) from error
    return TaskReference(pickled, task.func.__module__, None, None, None, is_whole=True)


def reference_of(task: Task) -> TaskReference | None:
    """A reference to a task; None where another process could not import it: in a function body, a notebook."""
    name = task.func.__module__
    module = sys.modules.get(name)
    if module is None or not sys.executable:
        return None
    main = None
    if name == _MAIN:
        main = _how_to_import_main(module, task)
        if main is None:
            return None
    try:
        pickled = pickle.dumps(task)
    except Exception:
        # Whatever a local function, or a setting of an override, raises.
        return None
    return TaskReference(pickled, name, getattr(module, "__file__", None), main, task.code_version)


def pickled(task: Task) -> bytes:
    """A task for another process: by its name where it has one, else with its code.

    Raises:
        Exception: it holds something that cannot leave this process.
    """
    try:
        return pickle.dumps(task)
    except Exception:
        return _with_code(task)


def _with_code(task: Task) -> bytes:
    # What only such tasks need is not loaded for all others.
    from flyte._bundle.pickled import pickled_with_code

    return pickled_with_code(task, {_MAIN})


def _how_to_import_main(main: ModuleType, task: Task) -> dict[str, str] | None:
    if main.__spec__ is not None and main.__spec__.name not in ("", _MAIN):
        how = "package" if main.__spec__.name.endswith(f".{_MAIN}") else "init_main_from_name"
        return {how: main.__spec__.name}
    file, source = getattr(main, "__file__", None), task.source_file
    if file is None or source is None or not Path(file).exists() or Path(file).resolve() != Path(source).resolve():
        # An interactive session.
        return None
    return {"init_main_from_path": str(Path(file).resolve())}


def load_task(reference: TaskReference) -> Any:
    """The task, its module imported in this process.

    Raises:
        ModuleLoadError: the module cannot be imported, or holds no such task.
        RuntimeUserError: code `CodeChanged`; the task's code is not what it was in the process that wants it run.
    """
    try:
        if reference.main is not None:
            _import_main(reference.main)
        elif not reference.is_whole:
            _import(reference.module, reference.file)
        task = pickle.loads(reference.pickled)
    except (Exception, SystemExit) as error:
        doing = f"sys.exit({error.code!r}) was called" if isinstance(error, SystemExit) else f"{type(error).__name__}"
        raise ModuleLoadError(
            f"{reference.file or reference.module} cannot be imported in the process of a task: {doing}: {error}"
        ) from error
    if reference.code_version is not None and task.code_version != reference.code_version:
        raise RuntimeUserError(
            "CodeChanged",
            f"the code of task {task.name!r} in {reference.file or reference.module} has changed since this run "
            "imported it, and a task that runs in a process of its own is imported there again: start another run.",
        )
    return task


def _import_main(how: Mapping[str, str]) -> None:
    # A process that was forked when this was done finds it done.
    if getattr(sys.modules[_MAIN], "__name__", None) == _CHILDS_MAIN:
        return
    if "package" in how:
        # `multiprocessing` leaves the `__main__.py` of a package out.
        main = ModuleType(_CHILDS_MAIN)
        main.__dict__.update(runpy.run_module(how["package"], run_name=_CHILDS_MAIN, alter_sys=True))
        sys.modules[_MAIN] = sys.modules[_CHILDS_MAIN] = main
    else:
        from multiprocessing.spawn import prepare

        prepare(dict(how))
    _call_it_main(sys.modules[_MAIN])


def _import(name: str, file: str | None) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if file is None or not f"{name}.".startswith(f"{error.name}."):
            raise
    else:
        if file is None or getattr(module, "__file__", None) == file:
            return
    # A file that was imported by its path, as test runners do; what its name says are packages may be none.
    folder = Path(file)
    for package in reversed([name[:end] for end, character in enumerate(name) if character == "."]):
        folder = folder.parent
        if package not in sys.modules:
            sys.modules[package] = ModuleType(package)
            sys.modules[package].__path__ = [str(folder)]
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    loaded = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(loaded)


def _call_it_main(module: ModuleType) -> None:
    """What the program's file declares says that it is from `__main__`, as in the process that wants the task run.

    Else what is pickled or named here would differ from what is pickled there.
    """
    for value in list(vars(module).values()):
        for each in (value, getattr(value, "func", None)):
            if getattr(each, "__module__", None) == _CHILDS_MAIN:
                each.__module__ = "__main__"
