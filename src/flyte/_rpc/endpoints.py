"""Addresses of control planes, as people write them and as they are called."""

from __future__ import annotations

from dataclasses import dataclass

from flyte.errors import InitializationError

DEFAULT_ENDPOINT = "localhost:30080"
_SCHEMES = ("dns:///", "http://", "https://")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a control plane listens.

    Attributes:
        authority: Host and port.
        insecure: It is called without TLS. The scheme that was written says nothing about this.
    """

    authority: str
    insecure: bool = False

    @classmethod
    def parse(cls, text: str, *, insecure: bool = False) -> Endpoint:
        """The endpoint that `host:port`, `dns:///host:port`, `http://host:port` or `https://host:port` means.

        Raises:
            InitializationError: code `InvalidEndpoint`; it is none of these.
        """
        authority = text.strip()
        for scheme in _SCHEMES:
            if authority.startswith(scheme):
                authority = authority.removeprefix(scheme)
                break
        authority = authority.rstrip("/")
        if not authority or "://" in authority or "/" in authority or any(each.isspace() for each in authority):
            raise InitializationError(
                "InvalidEndpoint",
                "user",
                f"endpoint {text!r} is no address of a control plane: expected host:port, such as {DEFAULT_ENDPOINT}, "
                f"with or without dns:///, http:// or https:// before it.",
            )
        return cls(authority, insecure)

    @property
    def url(self) -> str:
        """What requests go to."""
        return f"{'http' if self.insecure else 'https'}://{self.authority}"

    @property
    def host(self) -> str:
        """The host alone."""
        if self.authority.startswith("["):
            return self.authority[1:].partition("]")[0]
        return self.authority.rpartition(":")[0] or self.authority

    @property
    def is_this_machine(self) -> bool:
        """Whether the host is a name of this very machine."""
        return self.host == "localhost" or self.host.startswith("127.") or self.host == "::1"

    @property
    def org(self) -> str | None:
        """The organisation that the host names: its first label, where it has more than two and is no IP address."""
        labels = self.host.split(".")
        if len(labels) <= 2 or all(each.isdigit() for each in labels):
            return None
        return labels[0]

    def __str__(self) -> str:
        return self.authority
