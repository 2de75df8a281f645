"""Links that carry their own permission: for one method, one path and some limits, until a moment."""

from __future__ import annotations

import hmac
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from flyte._atomic import sync_folder
from flyte._store.database import HOME_MODE

KEY_FILE = "link.key"
_KEY_BYTES = 32
_EXPIRES = "expires"
_SIGNATURE = "signature"


class LinkRefusedError(Exception):
    """The link gives no permission for this; the text says why."""


def private_file(path: Path, content: bytes) -> None:
    """A new file that only its owner may read holds `content`, on disk.

    Raises:
        FileExistsError: there is one already.
    """
    path.parent.mkdir(mode=HOME_MODE, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def kept_secret(path: Path, fresh: bytes) -> bytes:
    """What a file holds that only its owner may read: `fresh`, where there was none, or only the beginning of one.

    A file that was cut short is no secret: an empty key signs what anybody can sign.
    """
    is_there = path.exists()
    if not is_there or path.stat().st_size < len(fresh):
        made = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        private_file(made, fresh)
        try:
            if is_there:
                made.replace(path)
            else:
                # Whoever is first makes it whole.
                with suppress(FileExistsError):
                    os.link(made, path)
        finally:
            made.unlink(missing_ok=True)
        sync_folder(path.parent)
    return path.read_bytes()


class LinkSigner:
    """Signs and checks the links of one home, by a key that is kept in it, so that links outlive a restart."""

    def __init__(self, home: Path) -> None:
        self._key = kept_secret(home / KEY_FILE, secrets.token_bytes(_KEY_BYTES))

    def sign(self, method: str, path: str, expires_at_s: int, limits: Mapping[str, str] | None = None) -> str:
        """The path and query of a link.

        Args:
            method: The only one it is good for.
            path: As it is, not quoted.
            expires_at_s: Seconds since 1970; it is refused from then on.
            limits: What else it says; `check` gives them back.
        """
        fields = {**(limits or {}), _EXPIRES: str(expires_at_s)}
        query = urlencode({**fields, _SIGNATURE: self._signature(method, path, fields)})
        return f"{quote(path)}?{query}"

    def check(self, method: str, path: str, query: str) -> dict[str, str]:
        """The limits of the link that was asked for.

        Args:
            method: Of the request; `HEAD` may what `GET` may.
            path: Of the request, unquoted.
            query: Of the request, as it came.

        Raises:
            LinkRefusedError: it is not one of ours, or is good no more.
        """
        pairs = parse_qsl(query, keep_blank_values=True)
        fields = dict(pairs)
        given = fields.pop(_SIGNATURE, "")
        expected = self._signature("GET" if method == "HEAD" else method, path, fields)
        if len(pairs) != len(fields) + 1 or not hmac.compare_digest(given.encode(), expected.encode()):
            raise LinkRefusedError(
                "the signature of this link does not fit its address and method: ask the server for a link again."
            )
        expires_at_s = int(fields.pop(_EXPIRES))
        if time.time() >= expires_at_s:
            raise LinkRefusedError("this link has expired: ask the server for another.")
        return fields

    def _signature(self, method: str, path: str, fields: Mapping[str, str]) -> str:
        signed = "\n".join((method, quote(path), urlencode(sorted(fields.items()))))
        return hmac.new(self._key, signed.encode(), sha256).hexdigest()
