"""A deployed task as controllers take it: called like any other, its code elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from flyteidl2.task import task_definition_pb2 as messages

from flyte._authoring.task import TaskTemplate
from flyte.errors import RemoteTaskUsageError


@dataclass(kw_only=True, eq=False, repr=False)
class DeployedTask(TaskTemplate[Any, Any, Any]):
    """A deployed task.

    Attributes:
        deployed: What the control plane knows of it: what is enqueued for it is this `spec`, under this `task_id`.
    """

    deployed: messages.TaskDetails

    def forward(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Never: its code is not here."""
        raise self._not_here()

    async def execute(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Never: its code is not here."""
        raise self._not_here()

    @property
    def cache_version(self) -> str:
        """The version under which its results are kept."""
        return str(self.deployed.spec.task_template.metadata.discovery_version)

    def _not_here(self) -> RemoteTaskUsageError:
        return RemoteTaskUsageError(
            f"task {self.name!r} is deployed, and its code is not here: call it inside a task that is run by the "
            f"control plane, or run it with flyte.run(...)."
        )
