"""An executor with its project, gone when the test is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.executors.served import Served


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """What runs attempts here; nothing of it is left after the test."""
    served = Served(tmp_path)
    yield served
    await served.close()
