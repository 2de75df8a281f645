"""What `with_runcontext` can set, and which of it a local run can honour."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Literal, get_args

from flyte._engine.names import check_run_name
from flyte._run.initialization import settings
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
    served: Mapping[str, Any] = field(default_factory=dict)
    """Settings that only a served run can honour, by name, where they differ from their defaults."""

    def __post_init__(self) -> None:
        if self.mode is not None and self.mode not in get_args(Mode):
            near = get_close_matches(str(self.mode), get_args(Mode), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"mode {self.mode!r} is unknown: use 'local', 'remote' or 'hybrid'.{hint}")
        if self.name is not None:
            check_run_name(self.name)
        for option in ("env_vars", "labels", "custom_context"):
            _check_strings(option, getattr(self, option))


def resolve_mode(options: RunOptions) -> Mode:
    """The mode a run has: the one asked for, else remote with a control plane configured and local without.

    Raises:
        InitializationError: code `ClientNotInitializedError`; the run would need a control plane.
    """
    mode = options.mode or ("remote" if settings().endpoint else "local")
    if mode != "local":
        where = f" ({settings().endpoint})" if settings().endpoint else ""
        raise InitializationError(
            "ClientNotInitializedError",
            "user",
            f'a run with mode="{mode}" needs a control plane{where}, and this release has no client for one: use '
            '`flyte.with_runcontext(mode="local")`.',
        )
    return mode


def say_what_is_not_honoured(options: RunOptions) -> None:
    """One warning that names the settings which only a served run has a use for."""
    if options.served:
        names = ", ".join(sorted(options.served))
        warnings.warn(f"a local run has no use for {names}", stacklevel=4)


def _check_strings(option: str, values: Mapping[str, str]) -> None:
    for key, value in values.items():
        if not isinstance(key, str) or not key or not isinstance(value, str):
            raise TypeError(f"{option} maps names to texts, got {key!r}: {value!r} ({type(value).__name__}).")
