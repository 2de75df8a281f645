"""`flyte create config`: a configuration file, as this and the official distribution read it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from flyte.cli._terminal import confirm_replacement, note


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConfig:
    """The options of `flyte create config`."""

    is_devbox: bool = False
    endpoint: str | None = None
    insecure: bool = False
    org: str | None = None
    project: str | None = None
    domain: str | None = None
    builder: str = "local"
    registry: str | None = None
    auth_type: str | None = None
    local_persistence: bool = False

    def settled(self) -> NewConfig:
        """The options, with those that `--devbox` stands for.

        Raises:
            UsageError: they contradict each other, or say nothing.
        """
        from flyte._rpc.endpoints import DEFAULT_ENDPOINT
        from flyte._rpc.settings import DEFAULT_DOMAIN, DEFAULT_PROJECT

        if not self.is_devbox:
            if self.insecure and not self.endpoint:
                raise click.UsageError("--insecure is about a control plane: give its address with --endpoint.")
            return self
        if self.endpoint:
            raise click.UsageError("--devbox stands for the address of this machine: leave --endpoint out.")
        return replace(
            self,
            endpoint=DEFAULT_ENDPOINT,
            insecure=True,
            project=self.project or DEFAULT_PROJECT,
            domain=self.domain or DEFAULT_DOMAIN,
        )

    def document(self) -> dict[str, dict[str, Any]]:
        """The sections of the file.

        Raises:
            InitializationError: the address is none.
            CommandError: there is no such way to get a token.
        """
        from flyte._rpc.endpoints import Endpoint
        from flyte.cli._invocation import auth_type_of

        admin: dict[str, Any] = {}
        if self.endpoint:
            admin = {"endpoint": f"dns:///{Endpoint.parse(self.endpoint)}", "insecure": self.insecure}
        if self.auth_type:
            admin["authType"] = auth_type_of(self.auth_type)
        place = {"domain": self.domain, "org": self.org, "project": self.project}
        sections = {
            "admin": admin,
            "image": {"builder": self.builder, "registry": self.registry},
            "local": {"persistence": True if self.local_persistence else None},
            "task": place,
        }
        kept = {
            name: {key: value for key, value in each.items() if value is not None} for name, each in sections.items()
        }
        return {name: each for name, each in kept.items() if each}


def write_config(new: NewConfig, file: Path, *, is_forced: bool) -> None:
    """The file is there; somebody at the terminal wants it where it replaces one.

    Raises:
        CommandError: there is one, and nobody to ask.
        click.Abort: they do not want it replaced.
    """
    import yaml

    text = yaml.safe_dump(new.settled().document(), sort_keys=True)
    if file.exists() and not is_forced:
        confirm_replacement(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    note(f"Config file written to {file}")
