"""References to deployed tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from flyte._context import ctx
from flyte._rpc.settings import session_settings
from flyte.remote._documents import Startable
from flyte.syncify import syncify

if TYPE_CHECKING:
    from flyte.remote._task_details import TaskDetails

AutoVersioning = Literal["latest", "current"]


class LazyEntity(Startable[...]):
    """A deployed task by name: asked for when it is first used, and then kept.

    Inside a task, `await entity(x=1)` runs it as a child action. `flyte.run(entity, x=1)` runs it as a run of its own.

    Attributes:
        name: Its full name.
    """

    def __init__(
        self,
        name: str,
        project: str | None = None,
        domain: str | None = None,
        version: str | None = None,
        auto_version: AutoVersioning | None = None,
    ) -> None:
        if (version is None) == (auto_version is None):
            raise ValueError(
                f"task {name!r}: give version=..., or else auto_version='latest' or 'current', and not both."
            )
        if auto_version not in (None, "latest", "current"):
            raise ValueError(f"task {name!r}: auto_version is 'latest' or 'current', got {auto_version!r}.")
        self.name = name
        self._place = project, domain
        self._version = version
        self._auto_version = auto_version
        self._changes: dict[str, Any] = {}
        self._details: TaskDetails | None = None

    @syncify
    async def fetch(self) -> TaskDetails:
        """All that is known of the task.

        Raises:
            RemoteTaskNotFoundError: there is none of that name and version.
        """
        if self._details is None:
            from flyte.remote._task_details import TaskDetails

            project, domain = self._place
            found = await TaskDetails.fetch(self.name, project, domain, self._version, self._auto_version)
            self._details = found.override(**self._changes) if self._changes else found
        return self._details

    def override(self, **changes: Any) -> LazyEntity:
        """A reference to the same task with other settings; those of `TaskDetails.override`."""
        copy = LazyEntity.__new__(LazyEntity)
        copy.__dict__.update(self.__dict__, _changes=self._changes | changes, _details=None)
        return copy

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task as a child action of the running one.

        Raises:
            RemoteTaskUsageError: no task is running here.
        """
        details = await self.fetch.aio()
        return await details(*args, **kwargs)

    def __repr__(self) -> str:
        return f"LazyEntity(name={self.name!r}, version={self._version or self._auto_version!r})"


def place_of(project: str | None, domain: str | None) -> tuple[str | None, str | None]:
    """Where a task is looked for: what is named, else where the running action is, else what the session says."""
    action = ctx().action
    settings = session_settings()
    fallbacks: Iterable[Any] = [each for each in (action, settings) if each is not None]
    for each in fallbacks:
        project, domain = project or each.project, domain or each.domain
    return project, domain
