"""How a client says who it is."""

from __future__ import annotations

import asyncio
import base64
import binascii
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from flyte.errors import InitializationError

if TYPE_CHECKING:
    from flyte._rpc.settings import SessionSettings

COMMAND_TIMEOUT_S = 60.0

_METADATA: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("flyte_rpc_metadata", default=())


@contextmanager
def auth_metadata(*kv: tuple[str, str]) -> Iterator[None]:
    """Calls to the control plane made inside carry these headers.

    Args:
        kv: Pairs of a header and its value, such as `("authorization", "Bearer ...")`.

    Raises:
        ValueError: none is given, or one is no pair of texts.
    """
    if not kv or not all(len(pair) == 2 and all(isinstance(part, str) and part for part in pair) for pair in kv):
        raise ValueError(f"auth_metadata takes pairs such as ('authorization', 'Bearer ...'), got {kv!r}.")
    token = _METADATA.set((*_METADATA.get(), *kv))
    try:
        yield
    finally:
        _METADATA.reset(token)


class Credentials:
    """The headers that tell who calls; programs that print tokens are run once, and again after a refusal."""

    def __init__(self, settings: SessionSettings) -> None:
        self._settings = settings
        self._token = settings.token
        self._proxy_token: str | None = None
        self._lock: asyncio.Lock | None = None

    async def headers(self) -> dict[str, str]:
        """The headers of one call.

        Raises:
            InitializationError: the program that prints the token failed, or a call brings none where each has to.
        """
        headers = {}
        if (self._token is None and self._settings.command) or (
            self._settings.proxy_command and self._proxy_token is None
        ):
            await self._run_commands()
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        if self._proxy_token:
            headers["proxy-authorization"] = f"Bearer {self._proxy_token}"
        own = _METADATA.get()
        if self._settings.is_passthrough and not own:
            raise InitializationError(
                "MissingAuthMetadata",
                "user",
                "flyte.init_passthrough leaves it to each call to say who it is: make it inside "
                "`with flyte.remote.auth_metadata(('authorization', ...)):`.",
            )
        return headers | {name.lower(): value for name, value in own}

    async def renew(self, refused: str | None) -> bool:
        """Whether there may be another token than the refused `authorization`: the program is run again."""
        if not self._settings.command or _METADATA.get():
            return False
        if refused == f"Bearer {self._token}":
            self._token = None
        return True

    async def _run_commands(self) -> None:
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if self._settings.command and self._token is None:
                self._token = await asyncio.to_thread(_printed_by, self._settings.command, "admin.command")
            if self._settings.proxy_command and self._proxy_token is None:
                self._proxy_token = await asyncio.to_thread(
                    _printed_by, self._settings.proxy_command, "admin.proxyCommand"
                )


def _printed_by(command: tuple[str, ...], setting: str) -> str:
    def failed(why: str) -> InitializationError:
        return InitializationError(
            "TokenCommandFailed", "user", f"{setting} {command[0]!r} is to print a token, and {why}: run it by hand."
        )

    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    except OSError as error:
        raise failed(f"cannot be started ({error.strerror})") from error
    except subprocess.TimeoutExpired as error:
        raise failed(f"did not end within {COMMAND_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        raise failed(f"ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    token = done.stdout.strip()
    if not token or any(each.isspace() for each in token):
        raise failed("printed nothing, or more than one word")
    return token


def check_api_key(api_key: str) -> str:
    """The token that an API key is.

    Raises:
        InitializationError: code `UnsupportedApiKey`; it is the credentials of an OAuth client, packed.
    """
    try:
        parts = base64.b64decode(api_key, validate=True).decode().split(":", 3)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        parts = []
    if len(parts) == 4:
        raise InitializationError(
            "UnsupportedApiKey",
            "user",
            f"this API key holds the credentials of an OAuth client at {parts[0]!r}, and this release gets no tokens "
            f"from OAuth servers: give a token made by `flyte create token`, or a program that prints one (command).",
        )
    if not api_key or any(each.isspace() or not each.isprintable() for each in api_key):
        raise InitializationError("InvalidApiKey", "user", "the API key is empty, or no single word: give a token.")
    return api_key
