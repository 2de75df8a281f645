"""The controller of an attempt that has no control plane to ask."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, NoReturn

from flyte._context import ActionScope
from flyte.errors import RuntimeSystemError


class NoController:
    """Refuses what only a control plane can do: calls of tasks, traces and conditions."""

    @property
    def output(self) -> Any:
        """Nothing: what the attempt prints goes where its process's output goes."""
        return None

    async def submit(self, scope: ActionScope, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Refused."""
        self._refuse(f"task {task.name!r} was called")

    def submit_blocking(self, scope: ActionScope, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Refused."""
        self._refuse(f"task {task.name!r} was called")

    def start(self, scope: ActionScope, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """Refused."""
        self._refuse(f"task {task.name!r} was called")

    @property
    def tracer(self) -> Any:
        """Refused."""
        self._refuse("a traced function was called")

    @property
    def conditions(self) -> Any:
        """Refused."""
        self._refuse("a condition was asked")

    def _refuse(self, what: str) -> NoReturn:
        raise RuntimeSystemError(
            "NoControlPlane",
            f"{what}, which needs a control plane, and none was named (_U_EP_OVERRIDE). Run the task with "
            "`flyte run --local`.",
        )

    async def end(self, attempt: Any) -> None:
        """Nothing was called, so nothing goes on."""

    def end_blocking(self, attempt: Any) -> None:
        """Nothing was called, so nothing goes on."""

    def close(self) -> None:
        """Nothing was opened."""
