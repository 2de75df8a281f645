"""How a run on a control plane is run: its settings as one message."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from flyteidl2.core.literals_pb2 import KeyValuePair
from flyteidl2.core.security_pb2 import Identity, SecurityContext
from flyteidl2.task.run_pb2 import (
    CACHE_LOOKUP_SCOPE_GLOBAL,
    CACHE_LOOKUP_SCOPE_PROJECT_DOMAIN,
    Annotations,
    CacheConfig,
    Envs,
    Labels,
    RawDataStorage,
    RunSpec,
)
from google.protobuf.wrappers_pb2 import BoolValue

from flyte._run.options import RunOptions

SEARCH_PATH_VARIABLE = "_F_SYS_PATH"
"""Entries of `sys.path` of a task's process, relative to its code."""

_SCOPES = {"global": CACHE_LOOKUP_SCOPE_GLOBAL, "project-domain": CACHE_LOOKUP_SCOPE_PROJECT_DOMAIN}


def run_spec_of(options: RunOptions, *, root: Path | None = None, queue: str | None = None) -> RunSpec:
    """The settings of a run.

    Args:
        options: As given.
        root: The folder of the code, where it is bundled: entries of `sys.path` below it are there in tasks, too.
        queue: That of the task, where the options name none.
    """
    spec = RunSpec(
        labels=Labels(values=dict(options.labels)),
        annotations=Annotations(values=dict(options.annotations)),
        envs=Envs(values=_variables(options, root)),
        overwrite_cache=options.overwrite_cache,
        queue=options.queue or queue or "",
        cache_config=CacheConfig(
            overwrite_cache=options.overwrite_cache, cache_lookup_scope=_SCOPES[options.cache_lookup_scope]
        ),
        max_action_concurrency=options.max_action_concurrency or 0,
        run_base_dir=options.run_base_dir or "",
    )
    if options.interruptible is not None:
        spec.interruptible.CopyFrom(BoolValue(value=options.interruptible))
    if options.raw_data_path is not None:
        spec.raw_data_storage.CopyFrom(RawDataStorage(raw_data_prefix=options.raw_data_path.path))
    if options.service_account is not None:
        account = Identity(k8s_service_account=options.service_account)
        spec.security_context.CopyFrom(SecurityContext(run_as=account))
    return spec


def _variables(options: RunOptions, root: Path | None) -> list[KeyValuePair]:
    variables = dict(options.env_vars)
    own = {
        "LOG_LEVEL": str(options.log_level or logging.getLogger("flyte").getEffectiveLevel()),
        "LOG_FORMAT": options.log_format,
        "USER_LOG_LEVEL": str(options.user_log_level or logging.getLogger("flyte.user").getEffectiveLevel()),
    }
    if options.reset_root_logger:
        own["FLYTE_RESET_ROOT_LOGGER"] = "1"
    if entries := search_path(root):
        own[SEARCH_PATH_VARIABLE] = entries
    for name, value in own.items():
        variables.setdefault(name, value)
    return [KeyValuePair(key=key, value=text) for key, text in variables.items()]


def search_path(root: Path | None) -> str:
    """The entries of `sys.path` that are the root of the code or below it, relative to it; empty without a root."""
    if root is None:
        return ""
    found = []
    for entry in sys.path:
        path = Path(os.path.realpath(entry or "."))
        if path.is_relative_to(root) and path.is_dir() and "site-packages" not in path.parts:
            found.append(f"./{path.relative_to(root).as_posix()}")
    return ":".join(dict.fromkeys(found))
