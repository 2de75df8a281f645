"""The files of the modules that this process has imported from below a folder."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

from flyte._bundle.walking import is_below

INSTALLED = frozenset({"site-packages", "dist-packages"})
"""What folders of installed packages are called: Debian has some that its Python does not tell of."""

_OURS = str(Path(__file__).resolve().parent.parent)


def loaded_files(root: str, modules: Mapping[str, ModuleType] | None = None) -> dict[str, str]:
    """The name of the module of each file below `root`, by the file's path; what is installed is not among them.

    Args:
        root: A folder, without links.
        modules: By name; default those that this process has imported.
    """
    is_of_project = project_filter(root)
    found: dict[str, str] = {}
    # A copy: another thread may import meanwhile.
    for name, module in sorted(dict(sys.modules if modules is None else modules).items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        path = os.path.abspath(file)
        if not is_below(path, root):
            # The root is without links; the path of a module may lead through one.
            path = os.path.realpath(path)
        if is_of_project(path):
            found.setdefault(path, name)
    return found


def project_filter(root: str) -> Callable[[str], bool]:
    """What tells whether a path is below the root, and not installed."""
    installed = _installed_folders(root)

    def is_of_project(path: str) -> bool:
        if not is_below(path, root) or any(is_below(path, folder) for folder in installed):
            return False
        return INSTALLED.isdisjoint(path[len(root) :].split("/"))

    return is_of_project


def _installed_folders(root: str) -> tuple[str, ...]:
    """The folders of Python, of its packages, and of this package."""
    folders = {*_library_folders(), _OURS}
    # `/usr` may be the prefix of Python and hold the project too; then only its libraries are not the project's.
    folders.update(prefix for prefix in (sys.prefix, sys.base_prefix) if not is_below(root, os.path.realpath(prefix)))
    return tuple({form for folder in folders for form in (folder, os.path.realpath(folder))})


def _library_folders() -> Iterator[str]:
    paths = sysconfig.get_paths()
    yield from (paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))
    if site.USER_SITE:
        yield site.USER_SITE
