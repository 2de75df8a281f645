"""`flyte delete`: what is recorded and no longer wanted."""

from __future__ import annotations

from datetime import timedelta

import rich_click as click

from flyte.cli._commands import Command, Group, refused
from flyte.cli._invocation import current_invocation
from flyte.cli._options import duration, place_options

_ABSENT = {
    "app": "is not there: this release serves no apps.",
    "devbox": "is not there: `flyte stop` ends the control plane of this machine; its data is the folder FLYTE_HOME.",
}


@click.group(
    cls=Group,
    absent=_ABSENT,
)
def delete() -> None:
    """Delete what is recorded on this machine, and secrets and triggers of a control plane."""


@delete.command(cls=Command, name="cache")
@click.option("--task", "task_name", metavar="NAME", help="Only results of this task.")
@click.option("--older-than", type=duration, metavar="DURATION", help="Only results kept longer ago, for example 7d.")
@click.option("--all", "is_all", is_flag=True, help="All results.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete_cache(task_name: str | None, older_than: timedelta | None, is_all: bool, dry_run: bool, yes: bool) -> None:
    """Delete results kept for later calls. Records of runs, with their own outputs, stay."""
    from flyte.cli._cache_views import Deletion, delete_kept

    if is_all == bool(task_name or older_than is not None):
        raise click.UsageError("say which results to delete: --task and --older-than select some, --all takes all.")
    delete_kept(Deletion(task_name, older_than, is_dry_run=dry_run, is_confirmed=yes), current_invocation().output)


@delete.command(cls=Command, name="secret")
@click.argument("key", metavar="NAME")
@click.option("--group", metavar="GROUP", help="Group of the secret.")
@place_options
@refused("--cluster-pool", why="is not there: this release knows no pools of clusters.")
def delete_secret(key: str, group: str | None) -> None:
    """Delete a secret kept on this machine, or on the control plane that is configured."""
    from flyte.cli._plane import connect, is_configured, refuse_place
    from flyte.cli._terminal import note

    if not is_configured():
        from flyte._store.secrets import SecretStore
        from flyte.config import home

        refuse_place()
        SecretStore(home()).delete(key, group)
    elif group is not None:
        raise click.UsageError("--group is for secrets of this machine: a control plane knows none. Leave it out.")
    else:
        from flyte.cli._secret_views import known_secret
        from flyte.remote import Secret

        connect()
        with known_secret(key):
            Secret.delete(key)
    note(f"Secret {key} is deleted.")


@delete.command(cls=Command, name="trigger")
@click.argument("name")
@click.argument("task_name", metavar="TASK")
@place_options
def delete_trigger(name: str, task_name: str) -> None:
    """Delete a trigger of a deployed task."""
    from flyte.cli._plane import connect
    from flyte.cli._terminal import note
    from flyte.cli._trigger_views import known_trigger
    from flyte.remote import Trigger

    connect()
    with known_trigger(name, task_name):
        Trigger.delete(name, task_name)
    note(f"Trigger {name} of task {task_name} is deleted.")


@delete.command(cls=Command, name="token")
@click.argument("name", metavar="NAME")
def delete_token(name: str) -> None:
    """End a token: it lets nobody use the server of this home any more, from now on."""
    from flyte._server.tokens import TokenStore
    from flyte.cli._terminal import note
    from flyte.config import home

    TokenStore(home()).delete(name)
    note(f"Token {name} is deleted.")


@delete.command(cls=Command, name="local-cache")
def delete_local_cache() -> None:
    """Delete all results kept for later calls, without asking: `flyte delete cache --all --yes`."""
    from flyte.cli._cache_views import clear_kept

    clear_kept(current_invocation().output)


@delete.command(cls=Command, name="image")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--unused", "is_unused", is_flag=True, help="Those that an earlier version or state of flyte has built.")
@click.option("--older-than", type=duration, metavar="DURATION", help="Those last used longer ago, for example 30d.")
@click.option("--all", "is_all", is_flag=True, help="All of them.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete_image(
    keys: tuple[str, ...], is_unused: bool, older_than: timedelta | None, is_all: bool, dry_run: bool, yes: bool
) -> None:
    """Delete images that were built as environments of this machine, and what killed builds have left."""
    from flyte.cli._image_views import ImageDeletion, delete_images

    if bool(keys) == (is_unused or is_all or older_than is not None):
        raise click.UsageError(
            "say which images to delete: name their keys, or select some with --unused and --older-than, or --all."
        )
    delete_images(ImageDeletion(keys, is_unused, older_than, is_all, dry_run, yes), current_invocation().output)


@delete.command(cls=Command, name="run")
@click.argument("names", metavar="[RUN]...", nargs=-1)
@click.option("--older-than", type=duration, metavar="DURATION", help="Runs that ended longer ago, for example 30d.")
@click.option(
    "--keep", type=click.IntRange(min=0), metavar="N", help="All but the newest N runs; with --older-than, both."
)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete_run(
    names: tuple[str, ...], older_than: timedelta | None, keep: int | None, dry_run: bool, yes: bool
) -> None:
    """Delete runs with their actions, inputs, outputs and files. Cached results stay."""
    from flyte.cli._run_deletion import RunDeletion, delete_recorded

    if bool(names) == (older_than is not None or keep is not None):
        raise click.UsageError("say which runs to delete: name them, or select some with --older-than and --keep.")
    deletion = RunDeletion(names, older_than, keep, is_dry_run=dry_run, is_confirmed=yes)
    delete_recorded(deletion, current_invocation().output)
