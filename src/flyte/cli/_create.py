"""`flyte create`: what is kept on this machine for tasks to use."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from flyte.cli._commands import Command, Group

_ABSENT = ("artifact", "config", "project", "trigger")


@click.group(
    cls=Group,
    absent=dict.fromkeys(_ABSENT, "needs a control plane, which this release has no client for yet."),
)
def create() -> None:
    """Create what tasks use."""


@create.command(cls=Command, name="secret")
@click.argument("key", metavar="NAME")
@click.option("--group", metavar="GROUP", help="Group of the secret, as in `flyte.Secret(key, group=...)`.")
@click.option("--value", metavar="TEXT", help="The value. It stays in the shell's history: leave it out to be asked.")
@click.option(
    "--from-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Take the value from a file, byte for byte.",
)
def create_secret(key: str, group: str | None, value: str | None, from_file: Path | None) -> None:
    """Keep a secret for the local runs of this machine, in place of what was under that name.

    A task gets it as an environment variable: `flyte.Secret(key, as_env_var=...)`. It is a file that only you can read,
    in the `secrets` folder of FLYTE_HOME.
    """
    from flyte._store.secrets import SecretStore
    from flyte.cli._terminal import note
    from flyte.config import home

    if value is not None and from_file is not None:
        raise click.UsageError("give the value with --value or with --from-file, not with both.")
    if from_file is not None:
        content = from_file.read_bytes()
    else:
        content = (value if value is not None else click.prompt("Value", hide_input=True)).encode()
    SecretStore(home()).put(key, group, content)
    note(f"Secret {key} is kept on this machine.")


@create.command(cls=Command, name="token")
@click.argument("name", metavar="NAME")
def create_token(name: str) -> None:
    """Print a new token that lets its holder use the server of this home, also from other machines.

    It is shown this once: only its hash is kept. A running server knows it at once. NAME is who its holder is there.
    """
    from flyte._server.tokens import TokenStore
    from flyte.cli._terminal import note
    from flyte.config import home

    token = TokenStore(home()).create(name)
    print(token, flush=True)
    note(f"Token {name} is sent as `authorization: Bearer TOKEN`. `flyte delete token {name}` ends it.")
