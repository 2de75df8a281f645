"""Our server and the interpreter of the official release, for scripts that let them work together."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

IMAGES = "ghcr.io/flyteorg/flyte:*"
_READY_WITHIN_S = 30.0
_VALID = timedelta(days=1)
_GONE_WITHIN_S = 30.0


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def variables(home: Path, **more: str) -> dict[str, str]:
    """The environment of a process that knows of no control plane, with a home folder of its own."""
    inherited = {
        name: text for name, text in os.environ.items() if not name.startswith(("FLYTE", "_U_", "_F_", "PYTHON"))
    }
    return inherited | {"HOME": str(home), "DO_NOT_TRACK": "1", "PYTHONDONTWRITEBYTECODE": "1", **more}


@dataclass(frozen=True)
class Certificate:
    """A certificate for this machine.

    Attributes:
        server: File with the certificate and its key.
        authority: File with that of who has signed it.
    """

    server: Path
    authority: Path


def make_certificate(folder: Path) -> Certificate:
    """A certificate for this machine that an authority has signed which nobody knows."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "conformance")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = Certificate(folder / "server.pem", folder / "authority.pem")
    pem = serialization.Encoding.PEM
    signed = _signed(authority, authority, authority_key.public_key(), authority_key, is_authority=True)
    made.authority.write_bytes(signed.public_bytes(pem))
    signed = _signed(authority, name, key.public_key(), authority_key, is_authority=False)
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    made.server.write_bytes(signed.public_bytes(pem) + private)
    return made


def _signed(
    issuer: x509.Name,
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, public_key, x509.random_serial_number(), now, now + _VALID)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


@dataclass
class Server:
    """Our server, at a port that stays the same when it is killed and started again.

    Attributes:
        folder: Where its home and its log are.
        images: Which environments stand for images.
        options: Further ones of `flyte start`.
        certificate: With which it speaks TLS; None for plain HTTP.
    """

    folder: Path
    images: tuple[str, ...]
    options: tuple[str, ...] = ()
    certificate: Certificate | None = None
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """How clients reach it."""
        return f"localhost:{self.port}"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder / "server.log"

    def start(self) -> None:
        """It is ready.

        Raises:
            RuntimeError: it is not within its time.
        """
        program = Path(sys.executable).parent / "flyte"
        options = [argument for image in self.images for argument in ("--image", image)]
        if self.certificate is not None:
            options += ["--tls-cert", str(self.certificate.server)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [program, "start", "--home", self.folder / "home", "--port", str(self.port), *options, *self.options],
                env=variables(self.folder),
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _READY_WITHIN_S
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server is not ready: {self.log.read_text()[-3000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """It is gone, without a chance to do anything before."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """It has ended."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        try:
            self.process.wait(_GONE_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _is_ready(self) -> bool:
        try:
            scheme, context = "http", None
            if self.certificate is not None:
                scheme, context = "https", ssl.create_default_context(cafile=str(self.certificate.authority))
            with urllib.request.urlopen(f"{scheme}://{self.endpoint}/readyz", timeout=2, context=context) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def running_server(server: Server) -> Iterator[Server]:
    """The server, until the block ends."""
    server.folder.mkdir(parents=True, exist_ok=True)
    server.start()
    try:
        yield server
    finally:
        server.stop()
