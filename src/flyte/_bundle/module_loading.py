"""Importing a module of unpacked code, and saying what is there when it cannot be."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from types import ModuleType

from flyte._authoring.expectations import near_name
from flyte.errors import ModuleLoadError

_SOURCES = "src"
_IMPORTS_FROM_SOURCES = re.compile(rb"^[ \t]*(from|import)[ \t]+src\b", re.MULTILINE)
_LISTED = 20


@contextmanager
def module_below(root: Path, name: str) -> Iterator[ModuleType]:
    """The module of that dotted path, from below `root`; one that is no file there, from where Python finds it.

    The folders that its own imports need are put on `sys.path`. When the import or the block fails, they are taken off
    again, with the modules that came from below `root`.

    Raises:
        ModuleLoadError: there is no such module, it fails to import, or another one has its name.
    """
    root = root.resolve()
    file = _file_of(root, name)
    folders, import_name = _folders(root, name, file)
    with _undone_on_failure(root, folders):
        yield _imported(root, name, import_name, file)


def _imported(root: Path, name: str, import_name: str, file: Path | None) -> ModuleType:
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(import_name)
    except ModuleNotFoundError as error:
        if not error.name or not f"{import_name}.".startswith(f"{error.name}."):
            raise ModuleLoadError(_failed(name, root, error)) from error
        if file is None:
            raise ModuleLoadError(_no_such_module(root, name)) from None
        raise ModuleLoadError(_taken(root, import_name, file)) from None
    except (Exception, SystemExit) as error:
        raise ModuleLoadError(_failed(name, root, error)) from error
    if file is not None and not _is_from(module, file):
        raise ModuleLoadError(_taken(root, import_name, file))
    return module


def module_names(root: Path) -> list[str]:
    """The dotted paths of the Python files below a folder, sorted; those in hidden folders left out."""
    return sorted(_names_below(root))


def _names_below(root: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(root):
        folders[:] = sorted(folder for folder in folders if not folder.startswith(".") and folder != "__pycache__")
        for file in files:
            if file.endswith(".py"):
                parts = Path(parent, file).relative_to(root).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _file_of(root: Path, name: str) -> Path | None:
    path = root.joinpath(*name.split("."))
    for file in (path / "__init__.py", path.parent / f"{path.name}.py"):
        if file.is_file():
            return file
    return None


def _folders(root: Path, name: str, file: Path | None) -> tuple[list[str], str]:
    """What must be on `sys.path`, and the name to import.

    Files below `src` are imported as the project itself does it, mostly without `src.`: else each class of theirs would
    be there twice. A script finds what lies beside it.
    """
    folders = [root]
    if (root / _SOURCES).is_dir() and not (root / _SOURCES / "__init__.py").exists():
        folders.append(root / _SOURCES)
        if file is not None and not _IMPORTS_FROM_SOURCES.search(file.read_bytes()):
            name = name.removeprefix(f"{_SOURCES}.")
    if file is not None and file.name != "__init__.py" and not (file.parent / "__init__.py").exists():
        folders.append(file.parent)
    return [str(folder) for folder in dict.fromkeys(folders)], name


@contextmanager
def _undone_on_failure(root: Path, folders: list[str]) -> Iterator[None]:
    path_before, modules_before = list(sys.path), set(sys.modules)
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    try:
        yield
    except BaseException:
        sys.path[:] = path_before
        for name in set(sys.modules) - modules_before:
            file = getattr(sys.modules[name], "__file__", None)
            if isinstance(file, str) and Path(file).is_relative_to(root):
                del sys.modules[name]
        raise


def _is_from(module: ModuleType, file: Path) -> bool:
    loaded = getattr(module, "__file__", None)
    return isinstance(loaded, str) and Path(loaded).resolve() == file.resolve()


def _taken(root: Path, import_name: str, file: Path) -> str:
    parts = import_name.split(".")
    for length in range(len(parts), 0, -1):
        if holder := sys.modules.get(".".join(parts[:length])):
            break
    by = getattr(holder, "__file__", None) or "a module built into Python"
    shown = file.relative_to(root)
    said = f"{shown} cannot be imported as {import_name!r}: the name {'.'.join(parts[:length])!r} is taken by {by}."
    if Path(by).parts[-len(parts) :] == file.parts[-len(parts) :]:
        return f"{said} That seems to be another copy of the same code: load each in a process of its own."
    return f"{said} Rename the file or its folder."


def _no_such_module(root: Path, name: str) -> str:
    names = module_names(root)
    if not names:
        return f"module {name!r} is not in the code bundle, which has no Python files (looked in {root})."
    near = near_name(name, names) or _same_end(name, names)
    listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
    return f"module {name!r} is not in the code bundle, which has {listed} (looked in {root}).{near}"


def _same_end(name: str, names: list[str]) -> str:
    """The module of the same file name in another folder, which no comparison of letters finds."""
    last = name.rpartition(".")[2]
    found = [each for each in names if each.rpartition(".")[2] == last]
    return f" Did you mean {found[0]!r}?" if found else ""


def _failed(name: str, root: Path, error: BaseException) -> str:
    """What a module does that fails to import, and on which line of the user's code."""
    where = _place(root, error)
    if isinstance(error, SystemExit):
        return (
            f"module {name!r} ends the program when it is imported (sys.exit({error.code!r}){where}). Put what only a "
            f'script does below `if __name__ == "__main__":`.'
        )
    hint = ""
    if isinstance(error, ModuleNotFoundError):
        hint = f" Add what has {error.name!r} to the image of the environment, or its file to the code bundle."
    return f"module {name!r} fails to import{where}: {type(error).__name__}: {error}.{hint}"


def _place(root: Path, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {_shown(error.filename, root)}:{error.lineno}"
    frames = [frame for frame in extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(root)]
    return f" at {_shown(frames[-1].filename, root)}:{frames[-1].lineno}" if frames else ""


def _shown(file: str, root: Path) -> str:
    return str(Path(file).relative_to(root)) if Path(file).is_relative_to(root) else file


def package_root(folder: Path) -> Path:
    """The folder that the modules in a folder are imported from: itself, or where its package starts."""
    return next((each for each in (folder, *folder.parents) if not (each / "__init__.py").exists()), folder)
