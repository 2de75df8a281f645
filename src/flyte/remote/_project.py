"""Projects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Literal

from flyteidl2.common.list_pb2 import ListRequest
from flyteidl2.project import project_service_pb2 as messages
from flyteidl2.task.run_pb2 import Labels

from flyte._rpc.settings import current_session
from flyte.remote._class_calls import on_class
from flyte.remote._documents import Document
from flyte.remote._filters import SortBy, pages, sorting

State = Literal["archived", "active"]
_STATES = {"archived": messages.PROJECT_STATE_ARCHIVED, "active": messages.PROJECT_STATE_ACTIVE}


@dataclass
class Project(Document):
    """A project of a control plane.

    Attributes:
        pb2: The message.
    """

    pb2: messages.Project

    @property
    def id(self) -> str:
        """What runs and tasks name it by."""
        return str(self.pb2.id)

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.pb2.name)

    @on_class
    @classmethod
    async def get(cls, name: str) -> Project:
        """The project of that id.

        Raises:
            UnionRpcError: code `NotFound`; there is none.
        """
        session = current_session()
        answer = await session.projects.get_project(messages.GetProjectRequest(id=name, org=session.org))
        return cls(answer.project)

    @on_class
    @classmethod
    async def create(cls, id: str, name: str, description: str = "", labels: dict[str, str] | None = None) -> Project:
        """A new project.

        Args:
            id: What runs and tasks name it by; unique.
            name: What people call it.
            description: For people.
            labels: For people and programs.

        Raises:
            UnionRpcError: code `AlreadyExists`; there is one.
        """
        session = current_session()
        project = messages.Project(
            id=id, name=name, description=description, org=session.org, labels=Labels(values=labels or {})
        )
        await session.projects.create_project(messages.CreateProjectRequest(project=project))
        return cls(project)

    @on_class
    @classmethod
    async def update(
        cls,
        id: str,
        name: str | None = None,
        description: str | None = None,
        labels: dict[str, str] | None = None,
        state: State | None = None,
    ) -> Project:
        """The project with what is given changed; the rest stays.

        Raises:
            UnionRpcError: code `NotFound`; there is none.
            ValueError: there is no such state.
        """
        if state is not None and state not in _STATES:
            raise ValueError(f"state: expected 'archived' or 'active', got {state!r}.")
        project = (await cls.get.aio(id)).pb2
        if name is not None:
            project.name = name
        if description is not None:
            project.description = description
        if labels is not None:
            project.labels.CopyFrom(Labels(values=labels))
        if state is not None:
            project.state = _STATES[state]
        await current_session().projects.update_project(messages.UpdateProjectRequest(project=project))
        return cls(project)

    def archive(self) -> Project:
        """It is hidden from listings; nothing of it is lost."""
        self.pb2 = type(self).update(self.pb2.id, state="archived").pb2
        return self

    def unarchive(self) -> Project:
        """It is listed again."""
        self.pb2 = type(self).update(self.pb2.id, state="active").pb2
        return self

    @on_class
    @classmethod
    async def listall(
        cls, filters: str | None = None, sort_by: SortBy | None = None, archived: bool = False
    ) -> AsyncIterator[Project]:
        """The projects.

        Args:
            filters: A condition in the language of the control plane.
            sort_by: A field, and `asc` or `desc`; default by their id.
            archived: Those that are archived, in place of those that are not.
        """
        session = current_session()
        order = sorting(sort_by, ("id", "asc"))

        async def fetch(request: ListRequest) -> tuple[Iterable[messages.Project], str]:
            answer = await session.projects.list_projects(
                messages.ListProjectsRequest(
                    limit=request.limit,
                    token=request.token,
                    filters=filters or f"eq(state, {_STATES['archived' if archived else 'active']})",
                    sort_by=order,
                    org=session.org,
                )
            )
            return answer.projects.projects, answer.projects.token

        wanted = (
            (messages.PROJECT_STATE_ARCHIVED, messages.PROJECT_STATE_SYSTEM_ARCHIVED)
            if archived
            else (messages.PROJECT_STATE_ACTIVE, messages.PROJECT_STATE_SYSTEM_GENERATED)
        )
        async for each in pages(fetch):
            if each.state in wanted:
                yield cls(each)
