"""Which control plane a command talks to: the configured one, or that of this machine's home folder."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flyte.cli._errors import CommandError
from flyte.cli._invocation import Invocation, auth_type_of, current_invocation
from flyte.cli._terminal import note

if TYPE_CHECKING:
    from flyte._server.instances import Instance
    from flyte._server.settings import ServerSettings
    from flyte.config import Config

_WAYS_TO_GET_TOKENS = ("ExternalCommand", "Passthrough")
_OTHERS_START_S = 30.0
_LOOK_EVERY_S = 0.05


def is_configured(invocation: Invocation | None = None) -> bool:
    """Whether an option, the configuration or the environment names a control plane."""
    return bool((invocation or current_invocation()).config.platform.endpoint)


def connect(
    project: str | None = None, domain: str | None = None, root_dir: Path | None = None, images: tuple[str, ...] = ()
) -> None:
    """From now on `flyte.remote` talks to the control plane of this command; one of the home folder is started.

    Args:
        project: Default the one that the command or the configuration names.
        domain: As `project`.
        root_dir: Folder that the project's modules are imported from.
        images: What `Image.from_ref_name` stands for, as `NAME=ADDRESS`.

    Raises:
        CommandError: the configuration cannot be used, or no control plane can be started.
    """
    from flyte._run import init_from_config

    invocation = current_invocation()
    _check_auth(invocation)
    config = _with_images(with_plane(invocation), images)
    init_from_config(
        config,
        root_dir=root_dir,
        project=project or invocation.project,
        domain=domain or invocation.domain,
    )


def _check_auth(invocation: Invocation) -> None:
    """Nothing, unless an option asks for a way to get tokens that there is not; the configuration's default is one.

    Raises:
        CommandError: it does.
    """
    if invocation.auth_type is not None and auth_type_of(invocation.auth_type) not in _WAYS_TO_GET_TOKENS:
        raise CommandError(
            f"--auth-type {invocation.auth_type} gets a token from an OAuth server, which this release cannot: put one "
            "into FLYTE_API_KEY, or use external-command, with admin.command in the configuration."
        )


def with_plane(invocation: Invocation) -> Config:
    """The configuration, with the address of the home folder's control plane where it names none."""
    config = invocation.config
    if config.platform.endpoint:
        return config
    instance = ensure_running()
    # By the way of its own attempts, which is there whatever address and certificate it shows to others.
    authority = instance.task_url.removeprefix("http://")
    platform = replace(config.platform, endpoint=authority, insecure=True, console_endpoint=instance.url)
    return config.with_params(platform=platform)


def ensure_running() -> Instance:
    """The control plane of the home folder; started if it does not run, which is said in one line.

    Raises:
        CommandError: it cannot be started.
    """
    from flyte._server.instances import running_instance
    from flyte.config import home

    instance = running_instance(home())
    if instance is not None:
        return instance
    instance = _start(home())
    note(f"The control plane of this machine was not running: started at {instance.url}. `flyte stop` ends it.")
    return instance


def _start(home: Path) -> Instance:
    from flyte._server.settings import ServerSettings
    from flyte.errors import BaseRuntimeError

    settings = ServerSettings(home=home)
    try:
        return _started(settings)
    except BaseRuntimeError as error:
        if error.code != "AddressInUse":
            raise
    # Somebody else has the usual port, such as the control plane of another home folder.
    return _started(replace(settings, port=0))


def _started(settings: ServerSettings) -> Instance:
    from flyte._server.daemon import start_detached
    from flyte.errors import BaseRuntimeError

    try:
        return start_detached(settings)
    except BaseRuntimeError as error:
        if error.code != "ServerRuns":
            raise
        # Another command has started it at the same moment.
        return _awaited(settings.home, error)


def _awaited(home: Path, refusal: Exception) -> Instance:
    from flyte._server.instances import running_instance

    give_up_at = time.monotonic() + _OTHERS_START_S
    while time.monotonic() < give_up_at:
        instance = running_instance(home)
        if instance is not None:
            return instance
        time.sleep(_LOOK_EVERY_S)
    raise CommandError(str(refusal))


def refuse_place() -> None:
    """Nothing, unless the command names a project or domain that only a control plane would know.

    Raises:
        CommandError: it does.
    """
    invocation = current_invocation()
    for option, value in (("--project", invocation.project), ("--domain", invocation.domain)):
        if value is not None:
            raise CommandError(
                f"{option} {value} names a place on a control plane, and none is configured: the runs of this machine "
                "are one list. Leave it out, or say which with `flyte --endpoint ADDRESS`."
            )


def refuse_endpoint() -> None:
    """Nothing, unless an option names a control plane; for commands that are about this machine.

    Raises:
        CommandError: one does.
    """
    endpoint = current_invocation().endpoint
    if endpoint is not None:
        raise CommandError(
            f"--endpoint {endpoint} names a control plane, and this command is about what is recorded on this machine: "
            "leave it out."
        )


def _with_images(config: Config, images: tuple[str, ...]) -> Config:
    if not images:
        return config
    refs = dict(config.image.image_refs)
    for each in images:
        name, separator, address = each.partition("=")
        refs[name if separator else "default"] = address if separator else each
    return config.with_params(image=replace(config.image, image_refs=refs))
