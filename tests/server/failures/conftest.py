"""A control plane for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flyte.syncify import syncify
from tests.server.planes import Plane


@pytest.fixture(scope="module")
def running_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """One that is started once for all tests of a file."""
    plane = Plane(tmp_path_factory.mktemp("plane"))
    plane.start()
    yield plane
    plane.close()


@pytest.fixture
def entered(running_plane: Plane) -> Iterator[Plane]:
    """The same, and this process is set up for it."""
    running_plane.enter()
    yield running_plane
    syncify.close()
