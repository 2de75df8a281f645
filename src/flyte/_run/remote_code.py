"""The code of a task where a control plane finds it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte._atomic import write_atomically
from flyte._bundle.building import KeptBundle, bundles_folder, keep_bundle
from flyte._bundle.module_loading import package_root
from flyte._bundle.selection import plan_bundle
from flyte._run.initialization import settings
from flyte.errors import CodeBundleError
from flyte.models import CodeBundle
from flyte.remote._uploads import Upload, send_file
from flyte.storage._addresses import is_remote

if TYPE_CHECKING:
    from flyte._authoring.environment import Environment
    from flyte._authoring.task import TaskTemplate
    from flyte._rpc.sessions import Session

UPLOADED_FOR_S = 24 * 3600.0
"""How long it is believed that a control plane still has what it was sent."""

_FOLDER = ".uploaded"


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """Which code is to be where.

    Attributes:
        environments: Those whose tasks are in it.
        task: The task that is pickled, where it is in no file.
        copy_style: As of `plan_bundle`.
        version: Of the tasks; None takes that of the code.
        is_pickled: The task itself is the code; None where it is in no file.
        copy_to: A folder that gets a copy.
        is_sent: False leaves it on this machine.
        trusts_earlier: What was sent before is not sent again.
        project: Where it goes.
        domain: Where it goes.
    """

    environments: tuple[Environment, ...]
    task: TaskTemplate[Any, Any, Any] | None = None
    copy_style: str = "loaded_modules"
    version: str | None = None
    is_pickled: bool | None = None
    copy_to: Path | None = None
    is_sent: bool = True
    trusts_earlier: bool = True
    project: str | None = None
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class PlacedCode:
    """Code that a control plane can start.

    Attributes:
        bundle: Where it is; None where images hold it.
        version: Of the tasks in it.
        root: The folder that names of modules are relative to; None for a pickled task.
    """

    bundle: CodeBundle | None
    version: str
    root: Path | None


async def place_code(session: Session | None, request: CodeRequest) -> PlacedCode:
    """The code is where the control plane finds it, whole.

    Raises:
        CodeBundleError: there is none, or it cannot be bundled.
        ValueError: no code is bundled, and no version is given.
        UnionRpcError: the control plane does not take it.
    """
    root = root_of(source_of(request.task), request.environments)
    if request.copy_style == "none":
        if request.version is None:
            raise ValueError(
                "copy_style='none' bundles no code, so nothing says which version the images hold: give version=..."
            )
        return PlacedCode(None, request.version, root)
    is_pickled = request.is_pickled
    if is_pickled is None:
        is_pickled = request.task is not None and source_of(request.task) is None
    kept = await asyncio.to_thread(_keep, request, root, is_pickled=is_pickled)
    if request.copy_to is not None:
        await asyncio.to_thread(_copy, kept.path, request.copy_to)
    address = str(kept.path)
    if request.is_sent and session is not None:
        address = await _sent(session, kept, request)
    bundle = CodeBundle(
        computed_version=kept.version,
        tgz=None if is_pickled else address,
        pkl=address if is_pickled else None,
    )
    return PlacedCode(bundle, request.version or kept.version, None if is_pickled else root)


def source_of(task: TaskTemplate[Any, Any, Any] | None) -> Path | None:
    """The file of a task; None for one of a notebook or a prompt."""
    if task is None or not task.source_file:
        return None
    path = Path(task.source_file).resolve()
    return path if path.is_file() else None


def root_of(source: Path | None, environments: Iterable[Environment] = ()) -> Path:
    """The project's folder: the one that was named, else the working directory, else the folder of the file."""
    named = settings().root_dir
    if named is not None:
        return named.resolve()
    here = Path.cwd().resolve()
    files = [source] if source is not None else [path for env in environments for path in _files_of(env)]
    outside = next((path for path in files if not path.is_relative_to(here)), None)
    return here if outside is None else package_root(outside.parent)


def _files_of(environment: Environment) -> list[Path]:
    tasks = getattr(environment, "tasks", {})
    return [path for task in tasks.values() if (path := source_of(task)) is not None]


def _keep(request: CodeRequest, root: Path, *, is_pickled: bool) -> KeptBundle:
    if not is_pickled:
        plan = plan_bundle(root, copy_style=request.copy_style, environments=request.environments)
        return keep_bundle(plan)
    from flyte._bundle.pickled import build_pickled_bundle

    if request.task is None:
        raise CodeBundleError(
            "an environment cannot be pickled: put its tasks into a file, and leave interactive_mode out."
        )
    bundle = build_pickled_bundle(request.task, root)
    return KeptBundle(Path(str(bundle.pkl)), bundle.computed_version, is_new=True)


def _copy(path: Path, to: Path) -> None:
    target = Path(to)
    if not target.suffixes:
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


async def _sent(session: Session, kept: KeptBundle, request: CodeRequest) -> str:
    note = _note_of(session, kept, request)
    if request.trusts_earlier and (address := _earlier(note)) is not None:
        return address
    _, address = await send_file(
        session, Upload(kept.path, kept.path.name), project=request.project, domain=request.domain
    )
    with suppress(OSError):
        # Without the note the next run sends it again.
        write_atomically(note, json.dumps({"address": address, "at": time.time()}).encode())
    return address


def _note_of(session: Session, kept: KeptBundle, request: CodeRequest) -> Path:
    project, domain = request.project or session.project, request.domain or session.domain
    where = f"{session.settings.endpoint}:{project}:{domain}:{kept.version}:{kept.path.name}"
    return bundles_folder() / _FOLDER / f"{hashlib.sha256(where.encode()).hexdigest()[:40]}.json"


def _earlier(note: Path) -> str | None:
    """Where the code was sent lately; None where nothing tells, or it can be seen that it is gone."""
    try:
        known = json.loads(note.read_bytes())
        address, at = str(known["address"]), float(known["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not 0 <= time.time() - at < UPLOADED_FOR_S:
        return None
    # A path is of this machine where the control plane is: then what is not there was deleted.
    folder = Path(address).parent
    if not is_remote(address) and folder.anchor and _is_here(folder) and not Path(address).exists():
        return None
    return address


def _is_here(folder: Path) -> bool:
    """Whether an upper part of the path is on this machine, so that the rest could be seen."""
    return len(folder.parts) > 2 and Path(*folder.parts[:2]).exists()
