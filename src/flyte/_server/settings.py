"""How a server is run."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_HOST = "localhost"
DEFAULT_PORT = 30080

LEAVE_SIGNAL = signal.SIGUSR1
"""Stops a server whose attempts go on, and meet the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How a server is run.

    Attributes:
        home: Where it keeps everything.
        host: Where it listens: a name or an address of this machine.
        port: Likewise; 0 for one that is free.
        tls_cert: Certificate, and those above it, in PEM; None for plain HTTP.
        tls_key: Key of the certificate; None where it is in the same file.
        requires_token: Whether requests from this machine need a token, too.
        host_names: Names by which the server is reached, beside those of this machine.
        images: Which environments stand for images, as `PATTERN=FOLDER`.
        queues: Priorities by the name of the queue; the higher goes first, and a queue that is not there has 0.
        cpu_millis: How much of the processors attempts take together, in thousandths; None for what the machine has.
        memory_bytes: Likewise of the memory.
        retention_days: Runs that ended longer ago are deleted; None keeps them.
        retention_runs: Only so many of the newest runs are kept; None keeps all.
        max_request_bytes: Of a call.
        max_upload_bytes: Of a file.
        max_streams: Of one peer.
        rate_per_s: Requests of one peer; None for the default, which holds for other machines alone.
        log_format: `console` or `json`.
        logs_access: Whether each request is logged.
        drain_s: How long a stop waits for attempts that run.
    """

    home: Path
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    tls_cert: Path | None = None
    tls_key: Path | None = None
    requires_token: bool = False
    host_names: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    queues: Mapping[str, int] = field(default_factory=dict)
    cpu_millis: int | None = None
    memory_bytes: int | None = None
    retention_days: float | None = None
    retention_runs: int | None = None
    max_request_bytes: int = 32 << 20
    max_upload_bytes: int = 10 << 30
    max_streams: int = 2_000
    rate_per_s: float | None = None
    log_format: str = "console"
    logs_access: bool = False
    drain_s: float = 0.0
