"""What of a project is left out of its bundle: standard names, `.gitignore`, `.flyteignore`, virtual environments.

Patterns mean what they mean to git (https://git-scm.com/docs/gitignore), in files of any folder, and in those above the
root up to that of its repository. A `.flyteignore` has the last word: its `!name` takes back what the other rules leave
out. What `NEVER` names, nothing takes back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from flyte._bundle.ignore_patterns import IgnoreFile, read_patterns
from flyte.errors import CodeBundleError

GIT_IGNORE = ".gitignore"
FLYTE_IGNORE = ".flyteignore"

STANDARD_NAMES = frozenset(
    {
        "__pycache__",
        ".cache",
        ".ruff_cache",
        ".mypy_cache",
        ".pytest_cache",
        ".venv",
        ".idea",
        "venv",
        "env",
        ".env",
        "dist",
        "build",
    }
)
STANDARD_ENDINGS = (".pyc", ".log", ".egg-info", ".egg", ".whl")

NEVER = ".git"
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")


def standard_rule(name: str) -> str | None:
    """The standard rule that leaves a file or folder of this name out."""
    if name in STANDARD_NAMES:
        return f"standard: {name}"
    for ending in STANDARD_ENDINGS:
        if name.endswith(ending):
            return f"standard: *{ending}"
    return None


def virtual_environment_rule(folder: str) -> str | None:
    """The rule that leaves this folder out because Python is installed in it."""
    if any(os.path.lexists(f"{folder}/{mark}") for mark in _ENVIRONMENT_MARKS):
        return "a virtual environment"
    return None


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A file of patterns in its place.

    Attributes:
        folder: The folder that its patterns are relative to.
        shown: What it is called in messages.
        file: Its patterns.
    """

    folder: str
    shown: str
    file: IgnoreFile

    def verdict(self, path: str, *, is_folder: bool) -> tuple[bool, str] | None:
        """Whether a path is left out, and the line that says so; None where no line speaks of it."""
        pattern = self.file.decide(path[len(self.folder) :].lstrip("/"), is_folder=is_folder)
        return None if pattern is None else (not pattern.is_negated, f"{self.shown}: {pattern.line}")


@dataclass(frozen=True)
class IgnoreRules:
    """The rules in force in one folder: its own rule files, and those of the folders above it.

    Attributes:
        root: The root of the bundle.
        git: The `.gitignore` files, outermost first.
        flyte: The `.flyteignore` files, outermost first.
        homes: Folders that Flyte keeps its own things in.
    """

    root: str
    git: tuple[RuleFile, ...] = ()
    flyte: tuple[RuleFile, ...] = ()
    homes: frozenset[str] = frozenset()

    @classmethod
    def at(cls, root: Path) -> IgnoreRules:
        """The rules that hold at a root before its own files are read: those of its repository."""
        from flyte.config import home

        rules = cls(str(root), homes=frozenset({os.path.realpath(home())}))
        outer = tuple(_git_rules_above(root))
        # A root that its repository leaves out was named nevertheless: what the repository says is not about it.
        return rules if _leave_out(outer, root) else replace(rules, git=outer)

    def within(self, folder: str, names: frozenset[str]) -> IgnoreRules:
        """The rules in a folder that holds these names."""
        if GIT_IGNORE not in names and FLYTE_IGNORE not in names:
            return self
        return replace(
            self,
            git=self.git + tuple(_rules_of(folder, GIT_IGNORE, self.root, names)),
            flyte=self.flyte + tuple(_rules_of(folder, FLYTE_IGNORE, self.root, names)),
        )

    @classmethod
    def above(cls, folder: str, root: str) -> IgnoreRules:
        """The rules that hold at a folder below the root before its own files are read.

        Where they leave the folder itself out, only the standard ones: somebody has named it nevertheless.
        """
        if rule_for(folder, root):
            return replace(cls.at(Path(root)), git=(), flyte=())
        rules = cls.at(Path(root))
        for parent, _ in _steps(folder, root):
            rules = rules.within(parent, frozenset(os.listdir(parent)))
        return rules

    def reason(self, path: str, name: str, *, is_folder: bool) -> str | None:
        """The rule that leaves a path of this folder out; None when none does."""
        if name == NEVER:
            return f"never: {NEVER}"
        if is_folder and (never := self._never(path)):
            return never
        if verdict := _last_verdict(self.flyte, path, is_folder=is_folder):
            return verdict[1] if verdict[0] else None
        if standard := standard_rule(name):
            return standard
        verdict = _last_verdict(self.git, path, is_folder=is_folder)
        return verdict[1] if verdict and verdict[0] else None

    def _never(self, folder: str) -> str | None:
        if folder in self.homes:
            return "never: the home folder of Flyte"
        return virtual_environment_rule(folder)


def _last_verdict(files: tuple[RuleFile, ...], path: str, *, is_folder: bool) -> tuple[bool, str] | None:
    for file in reversed(files):
        if verdict := file.verdict(path, is_folder=is_folder):
            return verdict
    return None


def _leave_out(files: tuple[RuleFile, ...], folder: Path) -> bool:
    """Whether these files leave out a folder, or one that it is in."""
    for each in (folder, *folder.parents):
        above = tuple(file for file in files if Path(file.folder) in each.parents)
        verdict = _last_verdict(above, str(each), is_folder=True)
        if verdict and verdict[0]:
            return True
    return False


def rule_for(path: str, root: str) -> str | None:
    """The rule that leaves out a path below the root, or a folder that it is in; None when none does."""
    rules = IgnoreRules.at(Path(root))
    for folder, name in _steps(path, root):
        rules = rules.within(folder, frozenset(os.listdir(folder)))
        if rule := rules.reason(f"{folder}/{name}", name, is_folder=os.path.isdir(f"{folder}/{name}")):
            return rule
    return None


def _steps(path: str, root: str) -> Iterator[tuple[str, str]]:
    """The folders on the way from the root to a path, each with the name that is next."""
    folder = root
    for name in path[len(root) :].split("/"):
        if name:
            yield folder, name
            folder = f"{folder}/{name}"


def _git_rules_above(root: Path) -> Iterator[RuleFile]:
    """The rules of the repository that a root lies in, outermost first, without those of the root itself."""
    repository = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)
    if repository is None:
        return
    yield from _rule_file(str(repository), f"{repository}/.git/info/exclude", ".git/info/exclude")
    above = [folder for folder in root.parents if folder.is_relative_to(repository)]
    for folder in reversed(above):
        yield from _rule_file(str(folder), f"{folder}/{GIT_IGNORE}", f"{folder}/{GIT_IGNORE}")


def _rules_of(folder: str, name: str, root: str, names: frozenset[str]) -> Iterator[RuleFile]:
    if name in names:
        yield from _rule_file(folder, f"{folder}/{name}", f"{folder}/{name}"[len(root) :].lstrip("/"))


def _rule_file(folder: str, path: str, shown: str) -> Iterator[RuleFile]:
    """The file at a path, if there is one.

    Raises:
        CodeBundleError: it cannot be read, so that nobody knows what is to be left out.
    """
    try:
        with open(path, "rb") as file:
            yield RuleFile(folder, shown, IgnoreFile(read_patterns(file.read())))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return
    except OSError as error:
        raise CodeBundleError(f"{path} says what a bundle leaves out, and cannot be read: {error.strerror}.") from error
