"""The one server of a home: the lock that makes it the only one, and the file that says where it is."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from flyte._atomic import write_atomically
from flyte._store.database import HOME_MODE, store_errors
from flyte._store.owners import is_alive, this_process
from flyte._store.records import Owner
from flyte.errors import RuntimeUserError

SERVER_FILE = "server.json"
LOG_FILE = "server.log"
_LOCK_FILE = "server.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A server that is ready.

    Attributes:
        url: By which it is reached.
        task_url: By which its own attempts reach it.
        owner: Its process.
        started_at: When it was ready.
    """

    pid: int
    url: str
    task_url: str
    version: str
    started_at: datetime
    owner: Owner

    @property
    def is_alive(self) -> bool:
        """Whether its process still runs."""
        # What it says of itself has no lease: it holds while the process does.
        return is_alive(self.owner, lease_until_us=1)


@contextmanager
def only_server(home: Path) -> Iterator[None]:
    """No other server of this home runs until the block ends. A killed one lets go.

    Raises:
        RuntimeUserError: code `ServerRuns`; there is one.
        StoreError: the home cannot be written to.
    """
    path = home / _LOCK_FILE
    with store_errors(path):
        home.mkdir(mode=HOME_MODE, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeUserError("ServerRuns", _already(home)) from None
        (home / SERVER_FILE).unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def announced(home: Path, instance: Instance) -> Iterator[None]:
    """Everybody can read where the server is, until the block ends."""
    content = {**asdict(instance), "started_at": instance.started_at.isoformat()}
    write_atomically(home / SERVER_FILE, json.dumps(content, indent=1).encode())
    try:
        yield
    finally:
        (home / SERVER_FILE).unlink(missing_ok=True)


def running_instance(home: Path) -> Instance | None:
    """The server of this home that is ready; None where there is none, or only what a killed one has left."""
    try:
        content = json.loads((home / SERVER_FILE).read_text(encoding="utf-8"))
        content["started_at"] = datetime.fromisoformat(content["started_at"])
        content["owner"] = Owner(**content["owner"])
        instance = Instance(**content)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return instance if instance.is_alive else None


def last_task_port(home: Path) -> int:
    """The port by which attempts reached the last server of this home that was killed; 0 where there is none."""
    try:
        content = json.loads((home / SERVER_FILE).read_text(encoding="utf-8"))
        return urlsplit(content["task_url"]).port or 0
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0


def this_instance(url: str, task_url: str, version: str) -> Instance:
    """The server that is this process, ready now."""
    owner = this_process()
    return Instance(
        pid=owner.pid, url=url, task_url=task_url, version=version, started_at=datetime.now(UTC), owner=owner
    )


def _already(home: Path) -> str:
    instance = running_instance(home)
    if instance is None:
        return f"another server of {home} starts or stops at this moment: try again, or give FLYTE_HOME another folder."
    return (
        f"a server of {home} runs already: process {instance.pid}, at {instance.url}. Use that one, end it with "
        "`flyte stop`, or give FLYTE_HOME another folder."
    )
