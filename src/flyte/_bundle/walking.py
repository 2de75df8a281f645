"""The files below a folder, by the rules of `ignoring`; links are followed where they stay in the root."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

from flyte._bundle.ignoring import IgnoreRules, rule_for
from flyte._bundle.plans import PlannedFile, SkippedPath, fingerprint_of
from flyte.errors import CodeBundleError

MAX_FILES = 50_000
"""So many files are no longer somebody's code; links that lead to one another also end here."""


@dataclass
class Walk:
    """Collects the files below folders of one root.

    Attributes:
        root: The root, without links.
        reason: Why the files are in.
        files: What was found, by relative path.
        skipped: What was left out, and why, by relative path.
    """

    root: str
    reason: str
    files: dict[str, PlannedFile] = field(default_factory=dict)
    skipped: dict[str, SkippedPath] = field(default_factory=dict)

    def add_folder(self, folder: str, rules: IgnoreRules) -> None:
        """Everything below a folder is found that no rule leaves out; a rule may not speak of the folder itself.

        Args:
            folder: Its path, which starts with the root.
            rules: Those of the folders above it.

        Raises:
            CodeBundleError: a folder cannot be read, or there are too many files.
        """
        self._descend(folder, rules, (os.path.realpath(folder),))

    def add_file(self, path: str) -> None:
        """A file is found, whatever the rules say of it; links out of the root are left out all the same."""
        target = os.path.realpath(path)
        if is_below(target, self.root):
            self._add(path)
        else:
            self._skip(path, f"a link out of the root, to {target}", is_folder=False)

    def _descend(self, folder: str, rules: IgnoreRules, ancestors: tuple[str, ...]) -> None:
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            raise _unreadable(folder, error) from error
        rules = rules.within(folder, frozenset(entry.name for entry in entries))
        for entry in entries:
            path = entry.path
            is_folder = _is_folder(entry)
            if rule := rules.reason(path, entry.name, is_folder=is_folder):
                self._skip(path, rule, is_folder=is_folder)
            elif entry.is_symlink() and (rule := self._why_not_followed(path, ancestors)):
                self._skip(path, rule, is_folder=False)
            elif is_folder:
                self._descend(path, rules, (*ancestors, os.path.realpath(path)))
            else:
                self._add(path)

    def _why_not_followed(self, path: str, ancestors: tuple[str, ...]) -> str | None:
        target = os.path.realpath(path)
        if not os.path.exists(target):
            return "a link to nothing"
        if not is_below(target, self.root):
            return f"a link out of the root, to {target}"
        if target in ancestors:
            return f"a link to a folder that it is in, {target}"
        # A link must not bring in what a rule leaves out under its own name.
        if rule := rule_for(target, self.root):
            return f"a link to {target}, which is left out ({rule})"
        return None

    def _add(self, path: str) -> None:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return  # Gone since it was listed.
        except OSError as error:
            raise _unreadable(path, error) from error
        if not stat.S_ISREG(status.st_mode):
            self._skip(path, "no regular file", is_folder=False)
            return
        relative = relative_to(path, self.root)
        self.files[relative] = PlannedFile(relative, path, fingerprint_of(status), self.reason)
        if len(self.files) > MAX_FILES:
            raise CodeBundleError(
                f"there are more than {MAX_FILES:,} files below {self.root}: leave out what is not code, with a "
                f".flyteignore file there, or bundle only what is imported, with copy_style='loaded_modules'."
            )

    def _skip(self, path: str, rule: str, *, is_folder: bool) -> None:
        relative = relative_to(path, self.root) + ("/" if is_folder else "")
        self.skipped[relative] = SkippedPath(relative, rule)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself.
        return False


def relative_to(path: str, root: str) -> str:
    """The path of a file in a bundle of `root`."""
    return path[len(root) :].lstrip("/")


def is_below(path: str, root: str) -> bool:
    """Whether a path is the root, or below it."""
    return path == root or path.startswith(f"{root.rstrip('/')}/")


def _unreadable(path: str, error: OSError) -> CodeBundleError:
    return CodeBundleError(
        f"{path} cannot be read: {error.strerror}. Give yourself the right to read it, or leave it out with a line "
        f"in .flyteignore."
    )
