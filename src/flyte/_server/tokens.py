"""Tokens that let callers in: a name each, and the hash of what was told to whoever created it."""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path

from flyte._atomic import placed_whole, sync_folder
from flyte._locks import locked
from flyte._server.signing import private_file
from flyte._store.database import HOME_MODE, store_errors
from flyte.errors import RuntimeUserError

TOKENS_FILE = "tokens.json"
_PREFIX = "flyte_"
_RANDOM_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")


@dataclass(frozen=True, slots=True)
class KeptToken:
    """A token as it is kept: what it is cannot be told from that.

    Attributes:
        digest: SHA-256 of the token, in hexadecimal.
    """

    name: str
    digest: str
    created_at: datetime


class TokenStore:
    """The tokens of a home, in a file that only its owner may read. Changes are in force at once, in any process."""

    def __init__(self, home: Path) -> None:
        self._path = home / TOKENS_FILE
        self._read_as: tuple[int, int, int] | None = None
        self._tokens: list[KeptToken] = []

    def create(self, name: str) -> str:
        """A new token of that name. It is in no file, so this is the only time that anybody can see it.

        Raises:
            RuntimeUserError: code `BadTokenName`; code `TokenExists`, there is one of that name.
            StoreError: it could not be written.
        """
        if not _NAME.fullmatch(name):
            raise RuntimeUserError(
                "BadTokenName",
                f"{name!r} cannot name a token: use 1 to 63 letters, digits, '.', '_', '@' and '-', starting with a "
                "letter or a digit.",
            )
        token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        with store_errors(self._path):
            self._path.parent.mkdir(mode=HOME_MODE, parents=True, exist_ok=True)
        with store_errors(self._path), locked(self._lock):
            there = self.list()
            if any(each.name == name for each in there):
                raise RuntimeUserError(
                    "TokenExists", f"there is a token {name!r} already: `flyte delete token {name}` ends it."
                )
            self._write([*there, KeptToken(name, _digest(token), datetime.now(UTC))])
        return token

    def delete(self, name: str) -> None:
        """The token lets nobody in any more.

        Raises:
            RuntimeUserError: code `TokenNotFound`; there is none of that name.
            StoreError: it could not be written.
        """
        with store_errors(self._path), locked(self._lock):
            there = self.list()
            kept = [each for each in there if each.name != name]
            if len(kept) == len(there):
                near = get_close_matches(name, [each.name for each in there], n=1)
                hint = f"Did you mean {near[0]!r}?" if near else "`flyte get token` lists those there are."
                raise RuntimeUserError("TokenNotFound", f"there is no token {name!r}. {hint}")
            self._write(kept)

    def list(self) -> list[KeptToken]:
        """All of them, oldest first.

        Raises:
            StoreError: the file cannot be read.
        """
        with store_errors(self._path):
            try:
                found = self._path.stat()
            except FileNotFoundError:
                self._read_as, self._tokens = None, []
                return []
            read_as = (found.st_ino, found.st_mtime_ns, found.st_size)
            if read_as != self._read_as:
                self._tokens = [
                    KeptToken(each["name"], each["sha256"], datetime.fromisoformat(each["created_at"]))
                    for each in json.loads(self._path.read_text(encoding="utf-8"))
                ]
                self._read_as = read_as
            return list(self._tokens)

    def name_of(self, token: str) -> str | None:
        """The name of a token that somebody shows; None for one that is not ours.

        How long it takes says nothing of how much of a guess is right.
        """
        digest, name = _digest(token), None
        for each in self.list():
            if hmac.compare_digest(each.digest, digest):
                name = each.name
        return name

    @property
    def _lock(self) -> Path:
        return self._path.with_name(f".{self._path.name}.lock")

    def _write(self, tokens: Sequence[KeptToken]) -> None:
        content = [
            {"name": each.name, "sha256": each.digest, "created_at": each.created_at.isoformat()} for each in tokens
        ]
        with placed_whole(self._path) as temporary:
            private_file(temporary, json.dumps(content, indent=1).encode())
        sync_folder(self._path.parent)


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
