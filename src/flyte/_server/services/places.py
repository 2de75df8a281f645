"""Where runs belong: the organisation of a server, and what stands for the place that a run does not name."""

from __future__ import annotations

from dataclasses import dataclass, field

from flyteidl2.common.identifier_pb2 import ActionIdentifier, ProjectIdentifier, RunIdentifier
from flyteidl2.task.task_definition_pb2 import TaskIdentifier

from flyte._store.records import StoredRun


@dataclass(frozen=True, slots=True)
class Places:
    """The places of a server.

    Attributes:
        org: Its one organisation. Whatever organisation a request names, this one is meant.
        project: Where runs belong that were made without one, as those of `mode="local"` may be.
        domains: Those that every project has; the first is where such runs belong.
    """

    org: str = "local"
    project: str = "flytesnacks"
    domains: tuple[str, ...] = field(default=("development", "staging", "production"))

    @property
    def domain(self) -> str:
        """Where runs belong that were made without one."""
        return self.domains[0]

    def run_identifier(self, run: StoredRun) -> RunIdentifier:
        """The full name of a run."""
        return self.identifier(run.name, run.project, run.domain)

    def identifier(self, run_name: str, project: str | None, domain: str | None) -> RunIdentifier:
        """The same out of its parts."""
        return RunIdentifier(org=self.org, project=project or self.project, domain=domain or self.domain, name=run_name)

    def action_identifier(self, run: StoredRun, action_name: str) -> ActionIdentifier:
        """The full name of an action of a run."""
        return ActionIdentifier(run=self.run_identifier(run), name=action_name)

    def task_identifier(self, run: StoredRun, task_name: str, version: str = "") -> TaskIdentifier:
        """The full name of a task that a local run called, which nobody deployed."""
        place = self.run_identifier(run)
        return TaskIdentifier(
            org=place.org, project=place.project, domain=place.domain, name=task_name, version=version
        )

    def conditions_of(self, project: ProjectIdentifier) -> tuple[list[str], dict[str, str]]:
        """SQL of the runs in a project, with its parameters; an empty domain is any."""
        conditions, parameters = [], {}
        for column, wanted, default in (
            ("project", project.name, self.project),
            ("domain", project.domain, self.domain),
        ):
            if wanted:
                # The plus keeps SQLite from an index that would have to be sorted: pages go by the age of the runs.
                none = f" OR run.{column} IS NULL" if wanted == default else ""
                conditions.append(f"+run.{column} = :place_{column}{none}")
                parameters[f"place_{column}"] = wanted
        return conditions, parameters
