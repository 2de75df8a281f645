"""Where a server listens. Its addresses are taken before anything else is done, so that what is wrong shows at once."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

from flyte.errors import RuntimeUserError

_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL)


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets at every address of `host`, all with the same port. They do not listen yet.

    Args:
        host: A name or an address of this machine.
        port: 0 for one that is free.

    Raises:
        RuntimeUserError: code `AddressInUse`, `BadAddress`.
    """
    with ExitStack() as bound:
        sockets: list[socket.socket] = []
        addresses = _addresses(host)
        for family, address in addresses:
            # With the protocol named, asyncio sends small writes at once; else each answer waits 40 ms for the kernel.
            each = bound.enter_context(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # All addresses of IPv6, asked for alone, are those of IPv4, too.
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(len(addresses) > 1 or address != "::"))
            try:
                each.bind((address, port))
            except OSError as error:
                if error.errno in _ABSENT and sockets:
                    # A machine without IPv6.
                    continue
                raise _refusal(host, port, error) from error
            port = each.getsockname()[1]
            sockets.append(each)
        bound.pop_all()
    return sockets


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RuntimeUserError("BadAddress", f"{host!r} is no address of this machine: {error}.") from error
    addresses = list(dict.fromkeys((each[0], str(each[4][0])) for each in found))
    if host == "localhost" and (socket.AF_INET6, "::1") not in addresses and socket.has_ipv6:
        addresses.append((socket.AF_INET6, "::1"))
    # IPv4 first: who asks for any port gets one that is free there, and most clients come that way.
    return sorted(addresses, key=lambda each: each[0] != socket.AF_INET)


def _refusal(host: str, port: int, error: OSError) -> RuntimeUserError:
    if error.errno == errno.EADDRINUSE:
        return RuntimeUserError(
            "AddressInUse",
            f"port {port} of {host} is in use{_by_whom(port)}: end that, or choose another with `--port`.",
        )
    if error.errno == errno.EACCES:
        return RuntimeUserError("BadAddress", f"port {port} is for the system's own: choose one above 1023.")
    return RuntimeUserError("BadAddress", f"cannot listen at {host}, port {port}: {error.strerror or error}.")


def _by_whom(port: int) -> str:
    import psutil

    try:
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid:
                return f" by process {each.pid} ({psutil.Process(each.pid).name()})"
    except psutil.Error:
        pass
    return ""
