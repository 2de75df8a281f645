"""What the process of an attempt is started with: its interpreter, its variables, where it imports from."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte._authoring.reuse import ReusePolicy
from flyte._authoring.secret import Secret, secrets_of
from flyte._bundle.loaded_modules import INSTALLED
from flyte._controller.child_tasks import TaskReference
from flyte._controller.process_environment import secret_not_found
from flyte._controller.secret_files import SECRETS_VARIABLE, SecretFiles
from flyte._forks.client import ServerSpec
from flyte._store.secrets import SecretStore

ENTRY = "flyte._controller.child_main:main"
WORKER_ENTRY = "flyte._controller.child_main:serve"
PRELOAD = "flyte._controller.child_main:preload"

_DESCRIPTORS = 65_536


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an attempt runs.

    Attributes:
        spec: Of its fork server.
        is_same_python: It is the interpreter of this process.
        folder: Working directory; None is that of this process.
        reuse: How its process is kept for further attempts; None where it is not.
        workers_of: The environment whose workers run it, where they are kept.
    """

    spec: ServerSpec
    is_same_python: bool = True
    folder: str | None = None
    reuse: ReusePolicy | None = None
    workers_of: str | None = None


def placement_here(reference: TaskReference) -> Placement:
    """In the software and with the variables of this very process."""
    spec = ServerSpec(
        python=sys.executable,
        flags=interpreter_flags(),
        path=tuple(sys.path),
        keeps_own_path=False,
        environment=dict(os.environ),
        entry=ENTRY,
        preload=_preload(reference),
    )
    return Placement(spec)


class Isolation:
    """Each attempt of a run in a process with the image, the variables and the secrets of its task's environment.

    Args:
        home: Where images and secrets are kept.
        image_refs: Images of the configuration, by name.
        env_vars: Variables of the run; they win over those of environments.
    """

    def __init__(self, home: Path, image_refs: Mapping[str, str], env_vars: Mapping[str, str]) -> None:
        self._home = home
        self._image_refs = image_refs
        self._env_vars = env_vars
        self._secrets = SecretStore(home)
        self._secret_files = SecretFiles()
        self._known: dict[Any, tuple[Any, Placement]] = {}
        allow_many_descriptors()

    def known_placement(self, task: Any, reference: TaskReference) -> Placement | None:
        """What `placement` has said before of this task or one like it; None when it has not."""
        _, placement = self._known.get(_key(task, reference), (None, None))
        return placement

    def placement(self, task: Any, reference: TaskReference, say: Callable[[str], None]) -> Placement:
        """Where an attempt at `task` runs; its environment is built first, where it is not there. Blocks.

        Args:
            task: Of the attempt.
            reference: How its process finds it.
            say: Told what is being built.

        Raises:
            ImageBuildError: there can be no such environment, or it could not be built.
            RuntimeUserError: code `SecretNotFound`; a secret it needs is not on this machine.
        """
        placement = self._find(task, reference, say)
        # The image is kept, for its identity is the key.
        self._known[_key(task, reference)] = (task.image, placement)
        return placement

    def _find(self, task: Any, reference: TaskReference, say: Callable[[str], None]) -> Placement:
        from flyte._image.venv import ensure_environment

        environment = ensure_environment(task.image, home=self._home, image_refs=self._image_refs, say=say)
        is_ours = environment.folder is None
        inherited = {**os.environ, **self._secrets_of(task)}
        variables = {**environment.variables(inherited), **(task.env_vars or {}), **self._env_vars}
        path = tuple(sys.path) if is_ours else (*map(str, environment.python_path), *user_path())
        spec = ServerSpec(
            python=str(environment.python),
            flags=interpreter_flags(),
            path=path,
            keeps_own_path=not is_ours,
            environment=variables,
            entry=ENTRY if task.reusable is None else WORKER_ENTRY,
            preload=_preload(reference),
        )
        folder = environment.working_dir
        return Placement(spec, is_ours, None if folder is None else str(folder), task.reusable, task.parent_env_name)

    def close(self) -> None:
        """No secret that was given as a file is left."""
        self._secret_files.close()

    def _secrets_of(self, task: Any) -> dict[str, str]:
        """The variables by which a task finds its secrets."""
        variables = {}
        for secret in secrets_of(task.secrets):
            value = self._value(task, secret)
            if secret.mount is None:
                variables[str(secret.as_env_var)] = os.fsdecode(value)
                continue
            file = self._secret_files.write(secret.key, secret.group, value)
            variables[SECRETS_VARIABLE] = str(self._secret_files.folder)
            if secret.as_env_var is not None:
                variables[secret.as_env_var] = str(file)
        return variables

    def _value(self, task: Any, secret: Secret) -> bytes:
        if secret.mount is None and (given := os.environ.get(str(secret.as_env_var))) is not None:
            return os.fsencode(given)
        value = self._secrets.load(secret.key, secret.group)
        if value is None:
            raise secret_not_found(task.name, secret)
        return value


def allow_many_descriptors() -> None:
    """This process may have as many open files as the system lets it: each attempt takes three of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _key(task: Any, reference: TaskReference) -> Any:
    variables = tuple(sorted((task.env_vars or {}).items()))
    workers = task.reusable, task.parent_env_name
    return id(task.image), variables, secrets_of(task.secrets), workers, reference.module, reference.is_whole


def user_path() -> tuple[str, ...]:
    """What this process imports from and is not of its own Python: the program's folder, `PYTHONPATH`, checkouts."""
    own = {os.path.realpath(path) for path in sysconfig.get_paths().values()}
    own |= {os.path.join(path, "lib-dynload") for path in own}
    standard = os.path.realpath(sysconfig.get_paths()["stdlib"])
    return tuple(
        entry
        for entry in (os.path.abspath(each) for each in sys.path)
        if os.path.realpath(entry) not in own
        and not os.path.realpath(entry).startswith(standard + os.sep)
        and not entry.endswith(".zip")
        and os.path.basename(entry) not in INSTALLED
    )


def interpreter_flags() -> tuple[str, ...]:
    """The options of this interpreter, such as `-O` and `-W`."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return tuple(flags)


def _preload(reference: TaskReference) -> tuple[str, str] | None:
    return None if reference.is_whole else (PRELOAD, reference.module_as_text())
