"""A control plane in memory for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import flyte
from conformance.peer import Peer
from flyte.syncify import syncify


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """It listens, and this process is set up for it; its files are in `tmp_path/server`."""
    monkeypatch.delenv("FLYTE_API_KEY", raising=False)
    with Peer(tmp_path / "server").serving() as peer:
        flyte.init(
            endpoint=peer.endpoint,
            insecure=True,
            project="digits",
            domain="development",
            root_dir=Path(__file__).parent,
            sync_local_sys_paths=False,
        )
        yield peer
    syncify.close()
