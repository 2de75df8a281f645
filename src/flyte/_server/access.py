"""Who may ask this server for anything."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from connectrpc.code import Code
from starlette.types import Scope

from flyte._server.answers import header
from flyte._server.callers import Caller
from flyte._server.tokens import TokenStore

_BEARER = "bearer "


class AccessRefusedError(Exception):
    """The request is not answered; the text says why, and `code` what it is in the protocol."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


class Access:
    """Lets requests in: those of this machine, and those with a token; none that a page of another site makes.

    Args:
        tokens: Of the home.
        user: Who requests without a token come from.
        requires_token: Whether requests of this machine need a token, too.
        task_token: What attempts of this server show.
        hosts: Names by which this server is known, beside addresses and those of this machine.
    """

    def __init__(
        self, tokens: TokenStore, user: str, *, requires_token: bool, task_token: str, hosts: Collection[str] = ()
    ) -> None:
        self._tokens = tokens
        self._user = user
        self._requires_token = requires_token
        self._task_token = task_token
        self._hosts = {"localhost", *_names_of_this_machine(), *(each.lower() for each in hosts)}

    def check_site(self, scope: Scope) -> None:
        """The request is meant for this server, and made by no page of another site.

        A page may reach a server on its reader's machine under a name of its own that leads here; that name is in the
        `Host` header then. Addresses lead nowhere else.

        Raises:
            AccessRefusedError: it is not.
        """
        host = header(scope, b"host")
        name = _host_name(host)
        if name is None or not (name in self._hosts or name.endswith(".localhost") or _is_address(name)):
            raise AccessRefusedError(
                Code.PERMISSION_DENIED,
                f"this server does not answer to the name {host!r}: start it with `--host-name NAME` if it is its own.",
            )
        origin = header(scope, b"origin")
        if origin and origin.partition("://")[2] != host:
            raise AccessRefusedError(
                Code.PERMISSION_DENIED, f"pages of {origin!r} may not use this server: only its own pages may."
            )

    def admit(self, scope: Scope) -> Caller:
        """Who makes the request.

        Raises:
            AccessRefusedError: it needs a token, or shows one that is none.
        """
        base_url = base_url_of(scope)
        authorization = header(scope, b"authorization")
        if authorization[: len(_BEARER)].lower() == _BEARER:
            token = authorization[len(_BEARER) :].strip()
            name = self._name_of(token)
            if name is None:
                raise AccessRefusedError(
                    Code.UNAUTHENTICATED,
                    "this token is not one of this server: `flyte create token NAME` where it runs makes one.",
                )
            return Caller(name, name, base_url)
        if self._requires_token or not is_of_this_machine(scope):
            raise AccessRefusedError(
                Code.UNAUTHENTICATED,
                "this server needs a token, sent as `authorization: Bearer TOKEN`: `flyte create token NAME` where it "
                "runs makes one.",
            )
        return Caller(self._user, self._user, base_url)

    def _name_of(self, token: str) -> str | None:
        if hmac.compare_digest(token.encode("latin-1"), self._task_token.encode()):
            return self._user
        return self._tokens.name_of(token)


def peer_of(scope: Scope) -> str:
    """The address that a request comes from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def is_of_this_machine(scope: Scope) -> bool:
    """Whether a request comes from this machine by its own address."""
    try:
        address = ipaddress.ip_address(peer_of(scope))
    except ValueError:
        return False
    # So a socket for both kinds of addresses shows one of IPv4.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def base_url_of(scope: Scope) -> str:
    """How whoever makes a request reaches this server."""
    return f"{scope.get('scheme', 'http')}://{header(scope, b'host')}"


def is_loopback(host: str) -> bool:
    """Whether an address to listen at is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _names_of_this_machine() -> set[str]:
    name = socket.gethostname().lower()
    return {name, f"{name}.local"} if name else set()
