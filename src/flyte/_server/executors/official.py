"""An environment with an official release of the SDK, for tasks that one of its clients has sent."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from flyte._atomic import write_atomically
from flyte._image.environment import FOLDER
from flyte._image.processes import run
from flyte._image.uv_calls import building_variables, uv_program
from flyte._image.venv import build_lock
from flyte._logging import system_logger
from flyte.errors import ImageBuildError

_VERSION = re.compile(r"2\.\d+\.\d+(?:(?:a|b|rc|\.post|\.dev)\d+)*")
_DONE = ".complete"
_SAID_CHARACTERS = 2000


def ensure_official(home: Path, version: str, python_version: tuple[int, int]) -> Path:
    """The folder of an environment with that release, made now unless it is there. Blocks; safe from any process.

    Args:
        python_version: Of the interpreter; where it is not that of this one, uv has to find one.

    Raises:
        ImageBuildError: it is no release that can be installed, or installing it failed; nothing of it stays.
    """
    if not _VERSION.fullmatch(version):
        raise ImageBuildError(
            f"the task was made by flyte {version}, and only releases 2.x are installed on demand, in numbers alone."
        )
    is_other = python_version != sys.version_info[:2]
    python = "{}.{}".format(*python_version) if is_other else sys.executable
    key = f"official-{version}-py{python}" if is_other else f"official-{version}"
    folder = home.absolute() / FOLDER / key
    if (folder / _DONE).exists():
        return folder
    with build_lock(home.absolute(), key):
        if (folder / _DONE).exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        system_logger.info("installing flyte %s, which a client uses, into %s", version, folder)
        try:
            _fill(folder, version, python)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        write_atomically(folder / _DONE, version.encode())
    return folder


def _fill(folder: Path, version: str, python: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    variables = building_variables({})
    uv = uv_program()
    requirement = f"flyte=={version}"
    commands: tuple[list[str | Path], ...] = (
        [uv, "venv", "--no-config", "--no-project", "--python", python, folder],
        [uv, "pip", "install", "--no-config", "--python", folder / "bin" / "python", requirement],
    )
    for command in commands:
        ended = run(command, variables=variables, folder=folder.parent)
        if ended.return_code:
            raise ImageBuildError(
                f"{requirement} cannot be installed into {folder}: {ended.output.strip()[-_SAID_CHARACTERS:]}"
            )
