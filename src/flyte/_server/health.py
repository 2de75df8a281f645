"""Whether the server lives, and whether it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from flyte._version import __version__

_PATIENCE_S = 5.0


class Health:
    """What `/healthz` and `/readyz` say.

    Args:
        check: Tries what all work needs; it raises where that fails.
    """

    def __init__(self, check: Callable[[], Awaitable[object]]) -> None:
        self._check = check
        self.is_ready = False

    def life(self) -> dict[str, str]:
        """That there is a server, and which."""
        return {"status": "ok", "version": __version__}

    async def why_not_ready(self) -> str | None:
        """Why it cannot do its work; None where it can."""
        if not self.is_ready:
            return "it starts, or stops"
        try:
            await asyncio.wait_for(self._check(), _PATIENCE_S)
        except TimeoutError:
            return f"the store has not answered within {_PATIENCE_S:.0f} s"
        except Exception as error:
            return str(error)
        return None
