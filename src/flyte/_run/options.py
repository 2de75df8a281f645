"""What `with_runcontext` can set, and which of it a run of each mode can honour."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

from flyte._engine.names import check_run_name
from flyte._rpc.settings import session_settings
from flyte.errors import InitializationError
from flyte.models import RawDataPath

Mode = Literal["local", "remote", "hybrid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The settings of one run, as given."""

    mode: Mode | None = None
    name: str | None = None
    version: str | None = None
    raw_data_path: RawDataPath | None = None
    run_base_dir: str | None = None
    run_start_time: datetime | None = None
    project: str | None = None
    domain: str | None = None
    env_vars: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    custom_context: Mapping[str, str] = field(default_factory=dict)
    disable_run_cache: bool = False
    overwrite_cache: bool = False
    isolated: bool = False
    """Each attempt runs in a process, with the software, the variables and the secrets of its environment."""
    copy_style: str | None = None
    """How the code of an isolated run is bundled; None is the default."""
    recovery: Mapping[str, Any] | None = None
    """What the run takes over from an earlier one, as `Recovery.settings` says it."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: str | None = None
    queue: str | None = None
    interruptible: bool | None = None
    max_action_concurrency: int | None = None
    cache_lookup_scope: str = "global"
    log_level: int | None = None
    log_format: str = "console"
    user_log_level: int | None = None
    reset_root_logger: bool = False
    interactive_mode: bool | None = None
    remote_copy_style: str = "loaded_modules"
    """How the code of a served run is bundled."""
    dry_run: bool = False
    copy_bundle_to: Path | None = None
    preserve_original_types: bool = False
    served: Mapping[str, Any] = field(default_factory=dict)
    """Settings that a local run has no use for, by name, where they differ from their defaults."""

    def __post_init__(self) -> None:
        if self.mode is not None and self.mode not in get_args(Mode):
            near = get_close_matches(str(self.mode), get_args(Mode), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"mode {self.mode!r} is unknown: use 'local', 'remote' or 'hybrid'.{hint}")
        if self.name is not None:
            check_run_name(self.name)
        for option in ("env_vars", "labels", "custom_context", "annotations"):
            _check_strings(option, getattr(self, option))
        _check_one_of("cache_lookup_scope", self.cache_lookup_scope, ("global", "project-domain"))
        _check_one_of("log_format", self.log_format, ("console", "json"))
        _check_concurrency(self.max_action_concurrency)


def resolve_mode(options: RunOptions) -> Mode:
    """The mode a run has: the one asked for, else remote with a control plane configured and local without.

    Raises:
        InitializationError: code `ClientNotInitializedError`; the run needs a control plane, and none is configured.
    """
    mode = options.mode or ("remote" if session_settings() is not None else "local")
    if mode != "local" and session_settings() is None:
        raise InitializationError(
            "ClientNotInitializedError",
            "user",
            f'a run with mode="{mode}" needs a control plane, and none is configured: call flyte.init(endpoint=..., '
            "insecure=True), start one with `flyte start`, or use "
            '`flyte.with_runcontext(mode="local")`.',
        )
    return mode


def say_what_is_not_honoured(options: RunOptions) -> None:
    """One warning that names the settings which only a served run has a use for."""
    if options.served:
        names = ", ".join(sorted(options.served))
        warnings.warn(f"a local run has no use for {names}", stacklevel=4)


def _check_one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{option}: expected one of {', '.join(map(repr, known))}, got {value!r}.")


def _check_concurrency(limit: int | None) -> None:
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"max_action_concurrency: expected a number, got {limit!r}.")
    if limit < 0 or limit == 1:
        raise ValueError(
            f"max_action_concurrency must be 0 (left to the control plane) or at least 2, got {limit}: with 1 a parent "
            f"would wait for ever for its children."
        )


def _check_strings(option: str, values: Mapping[str, str]) -> None:
    for key, value in values.items():
        if not isinstance(key, str) or not key or not isinstance(value, str):
            raise TypeError(f"{option} maps names to texts, got {key!r}: {value!r} ({type(value).__name__}).")
