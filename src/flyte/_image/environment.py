"""A Python with the packages of an image, and what a process in it is started with."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = "images"
RECORD = "environment.json"
ROOT = "root"
"""The folder of an environment that stands for `/` of the image: source folders and the working directory are below."""

RUNNING = "running"
SCHEME = "venv:"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Environment:
    """What a task needs to run in: an interpreter, and the settings of its processes.

    Attributes:
        key: What it is known by; the same for the same content. `running` is the interpreter that runs.
        python: The interpreter.
        env_vars: Variables that the image sets.
        working_dir: Where the image's processes start; None where the image does not say.
        python_path: Folders to import from, before the packages.
        folder: Where it lies; None for the interpreter that runs.
    """

    key: str
    python: Path
    env_vars: dict[str, str] = field(default_factory=dict)
    working_dir: Path | None = None
    python_path: tuple[Path, ...] = ()
    folder: Path | None = None

    @property
    def uri(self) -> str:
        """Its address on this machine, `venv:<key>`, which `find_environment` takes."""
        return f"{SCHEME}{self.key}"

    def variables(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The variables of a process in it: those inherited, without what points to another Python, and its own."""
        if self.folder is None:
            return {**inherited, **self.env_vars}
        variables = {name: value for name, value in inherited.items() if name not in _OF_ANOTHER_PYTHON}
        variables["VIRTUAL_ENV"] = str(self.folder)
        variables["PATH"] = os.pathsep.join((str(self.python.parent), inherited.get("PATH") or os.defpath))
        if self.python_path:
            variables["PYTHONPATH"] = os.pathsep.join(map(str, self.python_path))
        return variables | self.env_vars


_OF_ANOTHER_PYTHON = frozenset(
    {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "CONDA_PREFIX", "__PYVENV_LAUNCHER__"}
)


def running_environment() -> Environment:
    """The interpreter that runs, as it is."""
    return Environment(RUNNING, Path(sys.executable))


@dataclass(frozen=True, slots=True)
class BuiltRecord:
    """What is noted of an environment when it is complete. Without this note, nothing is used of it.

    Attributes:
        attempt: Name of the folder it was built in, beside the note.
        working_dir: Relative to that folder, as are the paths in `python_path`.
        size_bytes: Of its files; those that it shares with uv's cache count too.
    """

    key: str
    attempt: str
    name: str
    python_version: str
    flyte_version: str
    flyte_digest: str
    layers: tuple[str, ...]
    env_vars: dict[str, str]
    working_dir: str | None
    python_path: tuple[str, ...]
    created_at: str
    build_s: float
    size_bytes: int

    def to_json(self) -> bytes:
        """The note as it is written."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({"format": _FORMAT, **fields}, indent=1).encode()

    def environment(self, home: Path) -> Environment:
        """The environment it tells of."""
        folder = environment_folder(home, self.key) / self.attempt
        return Environment(
            key=self.key,
            python=folder / "bin" / "python",
            env_vars=dict(self.env_vars),
            working_dir=None if self.working_dir is None else folder / self.working_dir,
            python_path=tuple(folder / path for path in self.python_path),
            folder=folder,
        )


def environment_folder(home: Path, key: str) -> Path:
    """Where the environment of that key lies, with its note."""
    return home / FOLDER / key


def load_record(home: Path, key: str) -> BuiltRecord | None:
    """The note of a complete environment; None when there is none, or its interpreter was uninstalled."""
    path = environment_folder(home, key) / RECORD
    try:
        values: dict[str, Any] = json.loads(path.read_bytes())
        if values.pop("format") != _FORMAT:
            return None
        lists = {name: tuple(values[name]) for name in ("layers", "python_path")}
        record = BuiltRecord(**{**values, **lists})
    except (OSError, ValueError, KeyError, TypeError):
        # What cannot be understood is not there: it is built again.
        return None
    # The interpreter is a link to the one it was made from.
    return record if (path.parent / record.attempt / "bin" / "python").exists() else None


def note_use(home: Path, key: str) -> None:
    """The time of the note says that the environment was asked for now."""
    with suppress(OSError):
        os.utime(environment_folder(home, key) / RECORD)


def load_environment(home: Path, key: str) -> Environment | None:
    """The environment of that key, if it is complete. Starts no process."""
    record = load_record(home, key)
    return None if record is None else record.environment(home)
