"""Secrets kept on this machine: one file each, in a folder that only its owner may enter."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from flyte._atomic import write_atomically
from flyte._store.database import store_errors
from flyte.errors import RuntimeUserError, StoreError

FOLDER = "secrets"
_UNGROUPED = "_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class KeptSecret:
    """That a secret is there; its value is only read for a task."""

    key: str
    group: str | None
    created_at: datetime


class SecretStore:
    """The secrets in a home folder. They are not encrypted: what protects them are the folder's permissions."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER

    def put(self, key: str, group: str | None, value: bytes) -> None:
        """`value` is kept under that name, in place of what was.

        Raises:
            RuntimeUserError: code `BadSecretName`; code `BadSecretValue`, it is empty or holds a zero byte, which no
                environment variable can.
            StoreError: it could not be written.
        """
        path = self._path(key, group)
        if not value or b"\0" in value:
            problem = "is empty" if not value else "holds a zero byte, which no environment variable can"
            raise RuntimeUserError("BadSecretValue", f"the value for secret {key!r} {problem}.")
        with store_errors(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(stat.S_IRWXU)
            write_atomically(path, value)
            path.chmod(stat.S_IRUSR | stat.S_IWUSR)

    def load(self, key: str, group: str | None) -> bytes | None:
        """The value; None when there is none of that name.

        Raises:
            StoreError: others may read the folder, or the file cannot be read.
        """
        path = self._path(key, group)
        with store_errors(path):
            if not path.exists():
                return None
            if self._folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise StoreError(
                    f"others may read the secrets in {self._folder}: `chmod 700 {self._folder}`, and change them."
                )
            return path.read_bytes()

    def list(self) -> list[KeptSecret]:
        """All of them, by group and key."""
        files = sorted(path for path in self._folder.glob("*/*") if not path.name.startswith("."))
        return [
            KeptSecret(
                path.name,
                None if path.parent.name == _UNGROUPED else path.parent.name,
                datetime.fromtimestamp(path.stat().st_mtime, UTC),
            )
            for path in files
        ]

    def delete(self, key: str, group: str | None) -> None:
        """The secret is gone.

        Raises:
            RuntimeUserError: code `SecretNotFound`; there is none of that name.
        """
        path = self._path(key, group)
        if not path.exists():
            near = get_close_matches(key, [each.key for each in self.list()], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else " `flyte get secret` lists those there are."
            raise RuntimeUserError("SecretNotFound", f"there is no secret {key!r}{_in(group)} on this machine.{hint}")
        with store_errors(path):
            path.unlink()

    def _path(self, key: str, group: str | None) -> Path:
        for name in (key, *([group] if group else [])):
            if not _NAME.fullmatch(name):
                raise RuntimeUserError(
                    "BadSecretName",
                    f"{name!r} cannot name a secret: use 1 to 128 letters, digits, '.', '_' and '-', starting with a "
                    "letter or a digit.",
                )
        return self._folder / (group or _UNGROUPED) / key


def _in(group: str | None) -> str:
    return f" in group {group!r}" if group else ""
