"""Deployed tasks, as they are listed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from flyteidl2.common.list_pb2 import Filter, ListRequest
from flyteidl2.task import task_definition_pb2 as messages
from flyteidl2.task import task_service_pb2 as service

from flyte._rpc.settings import current_session
from flyte.remote._class_calls import on_class
from flyte.remote._documents import Document
from flyte.remote._filters import SortBy, equal, pages, sorting
from flyte.remote._lazy_entity import AutoVersioning, LazyEntity
from flyte.remote._places import page_of, project_id


@dataclass
class Task(Document):
    """A deployed task in a listing; `Task.get` refers to one to call it.

    Attributes:
        pb2: The message.
    """

    pb2: messages.Task

    @property
    def name(self) -> str:
        """Its full name."""
        return str(self.pb2.task_id.name)

    @property
    def version(self) -> str:
        """Its version."""
        return str(self.pb2.task_id.version)

    @property
    def entrypoint(self) -> bool:
        """Whether it is meant to be run by people."""
        return bool(getattr(self.pb2.metadata, "is_entrypoint", False))

    @property
    def url(self) -> str:
        """The address of its page."""
        where = self.pb2.task_id
        return page_of("tasks", where.project, where.domain, where.name)

    @classmethod
    def get(
        cls,
        name: str,
        project: str | None = None,
        domain: str | None = None,
        version: str | None = None,
        auto_version: AutoVersioning | None = None,
    ) -> LazyEntity:
        """A reference to a deployed task; nothing is asked before it is used.

        Args:
            name: Its full name, `environment.function`.
            project: Default that of the running action, else that of `flyte.init`.
            domain: As `project`.
            version: Its version.
            auto_version: In place of a version: `latest` is the one deployed last, `current` that of the running task.

        Raises:
            ValueError: neither or both of the last two are given.
        """
        return LazyEntity(name, project, domain, version, auto_version)

    @on_class
    @classmethod
    async def listall(
        cls,
        by_task_name: str | None = None,
        by_task_env: str | None = None,
        project: str | None = None,
        domain: str | None = None,
        sort_by: SortBy | None = None,
        limit: int = 100,
        entrypoint: bool | None = None,
    ) -> AsyncIterator[Task]:
        """The deployed tasks of a project.

        Args:
            by_task_name: Only the versions of this task.
            by_task_env: Only tasks of this environment.
            project: Default that of `flyte.init`.
            domain: Default that of `flyte.init`.
            sort_by: A field, and `asc` or `desc`; default the newest first.
            limit: How many at most; below 0 is all.
            entrypoint: Only those that are meant to be run by people, or with False only the others.
        """
        filters = equal("name", by_task_name)
        if by_task_env is not None:
            filters.append(Filter(function=Filter.CONTAINS, field="name", values=[f"{by_task_env}."]))
        known = [] if entrypoint is None else [service.ListTasksRequest.KnownFilter(is_entrypoint=entrypoint)]
        session = current_session()
        place = project_id(session, project, domain)

        async def fetch(request: ListRequest) -> tuple[Iterable[messages.Task], str]:
            answer = await session.tasks.list_tasks(
                service.ListTasksRequest(request=request, project_id=place, known_filters=known)
            )
            return answer.tasks, answer.token

        order = sorting(sort_by, ("created_at", "desc"))
        async for each in pages(fetch, filters=filters, sort_by=order, limit=limit):
            yield cls(each)
