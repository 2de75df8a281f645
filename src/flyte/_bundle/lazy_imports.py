"""The files that a program would import later: inside functions, where `sys.modules` does not show them yet.

Lines are looked at and nothing is parsed, so that a thousand files take hundredths of a second. A line of a docstring
that looks like an import may bring in a file that is not needed; `importlib.import_module` and the like are not seen.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator

from flyte._bundle.walking import is_below

_FROM = rb"from[ \t]+(?P<module>[\w.]+)[ \t]+import[ \t]*(?P<names>\([^)]*\)|[^\n#;]+)"
_NAMES = rb"(?:" + _FROM + rb"|import[ \t]+(?P<modules>[^\n#;]+))"
_INDENTED = re.compile(rb"^[ \t]+" + _NAMES, re.MULTILINE)
_ANY = re.compile(rb"^[ \t]*" + _NAMES, re.MULTILINE)


def lazily_imported(loaded: Iterable[str], root: str, is_of_project: Callable[[str], bool]) -> dict[str, str]:
    """The path of the importing file for each file that is not loaded, and that a loaded one would import.

    Args:
        loaded: Paths of the files of the loaded modules.
        root: The root of the bundle.
        is_of_project: Whether a path is of the project, and not installed.
    """
    known = set(loaded)
    search = _Search(root, is_of_project)
    found: dict[str, str] = {}
    # What loaded files import at their top is loaded too.
    waiting = [(path, _INDENTED) for path in sorted(known)]
    while waiting:
        path, pattern = waiting.pop()
        for imported in search.imports_of(path, pattern):
            if imported not in known:
                known.add(imported)
                found[imported] = path
                waiting.append((imported, _ANY))
    return found


class _Search:
    """Finds the files of modules by name."""

    def __init__(self, root: str, is_of_project: Callable[[str], bool]) -> None:
        folders = [os.path.realpath(each) if each else os.getcwd() for each in sys.path]
        self._folders = [root, *(each for each in folders if each != root and is_of_project(each))]
        self._root = root
        self._is_of_project = is_of_project
        self._files: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}

    def imports_of(self, path: str, pattern: re.Pattern[bytes]) -> Iterator[str]:
        """The files of the modules that the imports of a file name."""
        if not path.endswith(".py"):
            return
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            return  # Packing says so, if it is still like that.
        for match in pattern.finditer(content):
            for module in _modules_of(match):
                yield from self._files_of(module, path)

    def _files_of(self, module: str, importer: str) -> tuple[str, ...]:
        name = module.lstrip(".")
        parts = tuple(name.split(".")) if name else ()
        folders = self._folders
        if level := len(module) - len(name):
            folder = importer
            for _ in range(level):
                folder = os.path.dirname(folder)
            folders = [folder] if is_below(folder, self._root) else []
        for folder in folders:
            if (folder, parts) not in self._files:
                self._files[folder, parts] = tuple(self._below(folder, parts))
            if files := self._files[folder, parts]:
                return files
        return ()

    def _below(self, folder: str, parts: tuple[str, ...]) -> Iterator[str]:
        """The file of a module, and those of the packages that it is in; as many of them as there are."""
        path = folder
        for part in ("", *parts):
            path = f"{path}/{part}" if part else path
            for candidate in (f"{path}/__init__.py", f"{path}.py"):
                if (part or parts == ()) and os.path.isfile(candidate) and self._is_of_project(candidate):
                    yield candidate
                    break


def _modules_of(match: re.Match[bytes]) -> Iterator[str]:
    """The names of the modules that an import names; of a name in a module, whether it is a module is not known."""
    if (modules := match["modules"]) is not None:
        yield from _split(modules)
        return
    module = match["module"].decode()
    for name in _split(match["names"].strip(b"()")):
        yield f"{module}{name}" if module.endswith(".") else f"{module}.{name}"


def _split(names: bytes) -> Iterator[str]:
    for each in re.sub(rb"#[^\n]*", b"", names).split(b","):
        words = each.split()
        if words and re.fullmatch(rb"[\w.*]+", words[0]):
            yield words[0].decode("utf-8", "replace").replace("*", "")
