"""The code of an attempt: unpacked, importable, and the task found in it."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from flyte._authoring.task import TaskTemplate
from flyte._bundle.inflating import inflate
from flyte._bundle.pickled import load_pickled
from flyte._bundle.resolvers import DefaultTaskResolver
from flyte._worker.request import AttemptRequest
from flyte.errors import RuntimeUserError

PATHS_VARIABLE = "_F_SYS_PATH"
_MD5 = re.compile(r"[0-9a-f]{32}")
"""The version of a pickle is its MD5, but where somebody chose one."""


def load_task(request: AttemptRequest) -> tuple[TaskTemplate[Any, Any, Any], AttemptRequest]:
    """The task of an attempt, and the request with the place that its code is at.

    Raises:
        CodeBundleError: the code cannot be unpacked.
        StorageError: the code cannot be read.
        ModuleLoadError: there is no such task in it, or it fails to import.
        RuntimeUserError: code `InvalidArgument`; the request does not say how the task is found.
    """
    code = request.code
    if code is not None and code.pkl is not None:
        return load_pickled(code, is_version_digest=_MD5.fullmatch(code.computed_version) is not None), request
    root = Path(os.path.abspath("."))
    if code is not None:
        # The version may be one that somebody chose; the archive is then held against the digest in its name.
        code = inflate(code, code.destination, is_version_digest=False)
        assert code.downloaded_path is not None
        root = code.downloaded_path
    _add_paths(root)
    if request.resolver != DefaultTaskResolver.import_path:
        raise RuntimeUserError(
            "InvalidArgument",
            f"--resolver is {request.resolver!r}: expected {DefaultTaskResolver.import_path}, the only one there is, "
            "or a pickled task with --pkl.",
        )
    task = DefaultTaskResolver().load_task(request.resolver_args, root)
    return task, replace(request, code=code)


def _add_paths(root: Path) -> None:
    """The root and the folders of `_F_SYS_PATH` below it are imported from."""
    entries = [entry for entry in os.environ.get(PATHS_VARIABLE, "").split(":") if entry]
    for entry in (".", *entries):
        path = str((root / entry).resolve())
        if path not in sys.path:
            sys.path.insert(0, path)
