"""What the options of `flyte` itself say, for the commands below it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyte.cli._errors import CommandError

if TYPE_CHECKING:
    from flyte.config import Config
    from flyte.config._config import AuthType


class OutputFormat(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    TABLE_SIMPLE = "table-simple"
    JSON_RAW = "json-raw"

    @property
    def is_document(self) -> bool:
        """True for the formats that programs read."""
        return self in (OutputFormat.JSON, OutputFormat.JSON_RAW)


@dataclass(eq=False)
class Invocation:
    """One invocation of `flyte`.

    Attributes:
        insecure: Whether the control plane is called without TLS; None leaves it to the address and the configuration.
        project: What the command that runs concerns, where its options say it.
        domain: Likewise.
    """

    output: OutputFormat = OutputFormat.TABLE
    config_file: Path | None = None
    endpoint: str | None = None
    insecure: bool | None = None
    auth_type: str | None = None
    image_builder: str | None = None
    org: str | None = None
    project: str | None = None
    domain: str | None = None
    shows_progress: bool = True
    log_level: int | None = None
    user_log_level: int | None = None

    @cached_property
    def config(self) -> Config:
        """The configuration in force, the options applied.

        Raises:
            CommandError: a file that is named does not exist.
        """
        from dataclasses import replace

        from flyte.config import auto

        try:
            config = auto(self.config_file)
        except FileNotFoundError as error:
            raise CommandError(f"there is no configuration file {error.filename}.") from None
        platform = config.platform
        if self.endpoint:
            # Another place than the configured one: what is configured for that does not hold for it.
            is_plain = self.endpoint.startswith("http://")
            platform = replace(platform, endpoint=self.endpoint, insecure=platform.insecure or is_plain)
        if self.insecure is not None:
            platform = replace(platform, insecure=self.insecure)
        if self.auth_type is not None:
            platform = replace(platform, auth_mode=auth_type_of(self.auth_type))
        return config.with_params(
            platform=platform,
            task=replace(config.task, org=self.org or config.task.org),
            image=replace(config.image, builder=self.image_builder or config.image.builder),
        )


def auth_type_of(text: str) -> AuthType:
    """The flow that is meant, in any of the spellings of the official command line.

    Raises:
        CommandError: there is no such flow.
    """
    from typing import get_args

    from flyte.config._config import AuthType

    known: dict[str, AuthType] = {each.lower(): each for each in get_args(AuthType)}
    others: dict[str, AuthType] = {
        "appcredential": "ClientSecret",
        "headless": "DeviceFlow",
        "command": "ExternalCommand",
        "custom": "ExternalCommand",
    }
    found = (known | others).get(text.lower().replace("-", "").replace("_", ""))
    if found is None:
        raise CommandError(f"--auth-type {text!r}: expected one of {', '.join(known.values())}.")
    return found


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The options of `flyte run`.

    Attributes:
        run_place: Project and domain that a deployed task runs in, where they are others than its own.
    """

    is_local: bool = False
    isolated: bool = False
    follow: bool = False
    copy_style: str | None = None
    version: str | None = None
    name: str | None = None
    project: str | None = None
    domain: str | None = None
    root_dir: Path | None = None
    raw_data_path: str | None = None
    env_vars: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    queue: str | None = None
    max_action_concurrency: int | None = None
    service_account: str | None = None
    images: tuple[str, ...] = ()
    adds_root: bool = True
    run_place: tuple[str | None, str | None] = (None, None)


def current_invocation() -> Invocation:
    """The invocation of the command that runs now."""
    return click.get_current_context().ensure_object(Invocation)
