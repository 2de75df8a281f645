"""A control plane in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flyte.syncify import syncify
from tests.server.planes import Plane


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    """One that is yet to be started; gone when the test is."""
    plane = Plane(tmp_path / "plane")
    yield plane
    plane.close()
    syncify.close()
