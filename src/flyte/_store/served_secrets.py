"""Secrets of a server: encrypted in its store, with a key that only its owner can read."""

from __future__ import annotations

import os
import sqlite3
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from flyte._locks import locked
from flyte._store.database import store_errors
from flyte._store.reader import StoreReader
from flyte._store.secrets import SecretStore
from flyte._store.statements import statement
from flyte._store.writer import Change
from flyte.errors import RuntimeUserError, StoreError

KEY_FILE = "secrets.key"
_KEY_BYTES = 32
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class SecretKey:
    """The full name of a secret. Without a project it is for all of a domain, without either for all."""

    project: str
    domain: str
    name: str


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """That a secret is there; `kind` is a `secret.SecretType`."""

    key: SecretKey
    kind: int
    created_us: int

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> StoredSecret:
        """The secret in a row of the table."""
        return cls(SecretKey(row["project"], row["domain"], row["name"]), row["kind"], row["created_us"])


class Vault:
    """Seals and opens values with the key in a home folder, which is made when it is first needed."""

    def __init__(self, home: Path) -> None:
        self._path = home / KEY_FILE
        self._cipher: AESGCM | None = None

    def seal(self, key: SecretKey, value: bytes) -> bytes:
        """The value, encrypted for that name and no other.

        Raises:
            StoreError: others may read the file of the key, or it cannot be read or made.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._opened(may_make=True).encrypt(nonce, value, _bound_to(key))

    def open(self, key: SecretKey, sealed: bytes) -> bytes:
        """The value of that name.

        Raises:
            StoreError: the key is another one than that it was sealed with, or cannot be read.
        """
        try:
            cipher = self._opened(may_make=False)
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound_to(key))
        except InvalidTag:
            raise StoreError(
                f"secret {key.name!r} cannot be opened with {self._path}: it was sealed with another key. Bring that "
                "file back, or set the secret again."
            ) from None

    def _opened(self, *, may_make: bool) -> AESGCM:
        if self._cipher is None:
            with store_errors(self._path):
                self._cipher = AESGCM(self._key(may_make=may_make))
        return self._cipher

    def _key(self, *, may_make: bool) -> bytes:
        if may_make and not self._path.exists():
            # Two servers of one home would each make a key, and one could not open what the other sealed.
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with locked(self._path.with_name(f"{KEY_FILE}.lock")):
                if not self._path.exists():
                    _write_private(self._path, os.urandom(_KEY_BYTES))
        if self._path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise StoreError(f"others may read {self._path}: `chmod 600 {self._path}`, and change the secrets.")
        key = self._path.read_bytes()
        if len(key) != _KEY_BYTES:
            raise StoreError(f"{self._path} has {len(key)} bytes, and a key has {_KEY_BYTES}: it is damaged.")
        return key


def _write_private(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)


def _bound_to(key: SecretKey) -> bytes:
    return "\0".join((key.project, key.domain, key.name)).encode()


def create_secret(key: SecretKey, kind: int, sealed: bytes, now_us: int) -> Change:
    """A change that adds a secret; its result tells whether there was none of that name."""
    row = (key.project, key.domain, key.name, kind, sealed, now_us, now_us)

    def change(connection: sqlite3.Connection) -> bool:
        return connection.execute(statement("create_secret"), row).rowcount == 1

    return change


def update_secret(key: SecretKey, kind: int, sealed: bytes, now_us: int) -> Change:
    """A change of a secret's value; its result tells whether there is one of that name."""
    row = (sealed, kind, now_us, key.project, key.domain, key.name)

    def change(connection: sqlite3.Connection) -> bool:
        return connection.execute(statement("update_secret"), row).rowcount == 1

    return change


def delete_secret(key: SecretKey) -> Change:
    """A change by which there is no secret of that name; its result tells whether there was one."""

    def change(connection: sqlite3.Connection) -> bool:
        return connection.execute(statement("delete_secret"), (key.project, key.domain, key.name)).rowcount == 1

    return change


def find_secret(reader: StoreReader, key: SecretKey) -> StoredSecret | None:
    """The secret of that name, at that level alone."""
    rows = reader.select(statement("secret"), (key.project, key.domain, key.name))
    return StoredSecret.from_row(rows[0]) if rows else None


def list_secrets(reader: StoreReader, level: SecretKey, limit: int) -> list[StoredSecret]:
    """The secrets of a level by name, after the name of `level`."""
    parameters = {"project": level.project, "domain": level.domain, "after": level.name, "limit": limit}
    return [StoredSecret.from_row(row) for row in reader.select(statement("list_secrets"), parameters)]


def secret_value(reader: StoreReader, vault: Vault, wanted: SecretKey, group: str | None = None) -> bytes | None:
    """The value for a task in that project and domain; None where there is none.

    The nearest level wins: the project's, the domain's, then that of all. What `flyte create secret` kept on this
    machine for local runs comes last, and is all there is for a secret of a group, of which the protocol knows none.

    Raises:
        StoreError: it cannot be opened.
    """
    if not group:
        for project, domain in ((wanted.project, wanted.domain), ("", wanted.domain), ("", "")):
            key = SecretKey(project, domain, wanted.name)
            rows = reader.select(statement("secret"), (key.project, key.domain, key.name))
            if rows:
                return vault.open(key, rows[0]["sealed"])
    try:
        return SecretStore(reader.home).load(wanted.name, group)
    except RuntimeUserError:
        # No name that a secret of this machine could have.
        return None
