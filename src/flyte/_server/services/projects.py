"""`ProjectService`: projects are made, changed, archived and listed."""

from __future__ import annotations

import re

from flyteidl2.common.list_pb2 import ListRequest
from flyteidl2.project import project_service_pb2 as messages
from flyteidl2.task.run_pb2 import Labels

from flyte._server.codes import Context, answering
from flyte._server.refusals import AlreadyThereError, InvalidRequestError, NotNowError, UnknownError
from flyte._server.services.clock import now_us
from flyte._server.services.identifiers import place_of, text_of
from flyte._server.services.list_requests import Column, Listing, moment, number
from flyte._server.services.places import Places
from flyte._server.services.store import ServedStore
from flyte._store.projects import StoredProject, create_project, find_project, list_projects, update_project
from flyte._store.writer import Writer

_DESCRIPTION_LENGTH = 4096
_MOST_LABELS = 64
_LABEL_LENGTH = 255
_FILTERS = re.compile(r"\s*(eq|ne|contains|value_in)\s*\(\s*([A-Za-z_.]+)\s*,\s*([^()]*?)\s*\)\s*")

PROJECTS = Listing(
    key="serial",
    columns={
        "created_at": Column("created_us", moment, sort="serial"),
        "updated_at": Column("updated_us", moment),
        "name": Column("display_name"),
        "id": Column("name"),
        "identifier": Column("name"),
        "state": Column("state", number),
        "description": Column("description"),
    },
    maps={"labels": "labels"},
    is_descending=False,
)

_FUNCTIONS = {"eq": 0, "ne": 1, "contains": 6, "value_in": 7}
"""The numbers of `common.Filter.Function`."""


def ensure_project(writer: Writer, places: Places) -> None:
    """The default project is there. Blocks; call it before anything is served."""
    writer.write(
        create_project(
            StoredProject(
                name=places.project,
                display_name=places.project,
                description="The project of what names none.",
                labels={},
                state=messages.PROJECT_STATE_ACTIVE,
            ),
            now_us(),
        )
    )


@answering
class ProjectService:
    """Projects, each with the domains of the server."""

    def __init__(self, store: ServedStore, places: Places) -> None:
        self._store = store
        self._places = places

    async def create_project(
        self, request: messages.CreateProjectRequest, ctx: Context
    ) -> messages.CreateProjectResponse:
        """The project is there."""
        project = self._checked(request.project)
        if not await self._store.write(create_project(project, now_us())):
            raise AlreadyThereError(f"there is a project {project.name!r}: `flyte update project` changes it.")
        return messages.CreateProjectResponse()

    async def update_project(
        self, request: messages.UpdateProjectRequest, ctx: Context
    ) -> messages.UpdateProjectResponse:
        """The project is so."""
        project = self._checked(request.project)
        if project.name == self._places.project and project.state == messages.PROJECT_STATE_ARCHIVED:
            raise NotNowError(f"{project.name!r} is the project of what names none, so it cannot be archived.")
        if not await self._store.write(update_project(project, now_us())):
            raise _unknown(project.name)
        return messages.UpdateProjectResponse()

    async def get_project(self, request: messages.GetProjectRequest, ctx: Context) -> messages.GetProjectResponse:
        """The project as it is."""
        name = place_of(request.id, "id")
        project = await self._store.read(lambda reader: find_project(reader, name))
        if project is None:
            raise _unknown(name)
        return messages.GetProjectResponse(project=self._message(project))

    async def list_projects(self, request: messages.ListProjectsRequest, ctx: Context) -> messages.ListProjectsResponse:
        """One page of projects, the oldest first where nothing else is asked for."""
        listed = ListRequest(limit=request.limit, token=request.token)
        if request.HasField("sort_by"):
            listed.sort_by.CopyFrom(request.sort_by)
        _add_filters(listed, request.filters)
        query = PROJECTS.query(listed)
        projects, page = await self._store.read(lambda reader: list_projects(reader, query))
        shown = messages.Projects(
            projects=[self._message(each) for each in projects], token=PROJECTS.token(listed, page)
        )
        return messages.ListProjectsResponse(projects=shown)

    def _checked(self, project: messages.Project) -> StoredProject:
        if project.domains and {each.id for each in project.domains} != set(self._places.domains):
            raise InvalidRequestError(
                f"project.domains: every project has {', '.join(self._places.domains)}; leave the field out."
            )
        labels = dict(project.labels.values)
        if len(labels) > _MOST_LABELS:
            raise InvalidRequestError(f"project.labels has {len(labels)} entries: expected at most {_MOST_LABELS}.")
        for key, value in labels.items():
            text_of(key, "a key of project.labels", _LABEL_LENGTH)
            text_of(value, f"project.labels[{key!r}]", _LABEL_LENGTH, may_be_empty=True)
        if project.state not in (messages.PROJECT_STATE_ACTIVE, messages.PROJECT_STATE_ARCHIVED):
            raise InvalidRequestError(f"project.state is {project.state}: expected 0, active, or 1, archived.")
        name = place_of(project.id, "project.id")
        return StoredProject(
            name=name,
            display_name=text_of(project.name or name, "project.name", _LABEL_LENGTH),
            description=text_of(project.description, "project.description", _DESCRIPTION_LENGTH, may_be_empty=True),
            labels=labels,
            state=project.state,
        )

    def _message(self, project: StoredProject) -> messages.Project:
        return messages.Project(
            id=project.name,
            name=project.display_name,
            domains=[messages.Domain(id=each, name=each) for each in self._places.domains],
            description=project.description,
            labels=Labels(values=project.labels),
            state=project.state,
            org=self._places.org,
        )


def _unknown(name: str) -> UnknownError:
    return UnknownError(f"there is no project {name!r}: `flyte get project` lists those there are.")


def _add_filters(request: ListRequest, filters: str) -> None:
    """The filters of a text such as `eq(state, 0)+contains(name, ab)` are those of the request.

    Raises:
        InvalidRequestError: it is no such text.
    """
    text_of(filters, "filters", _DESCRIPTION_LENGTH, may_be_empty=True)
    for part in filters.split("+") if filters.strip() else ():
        match = _FILTERS.fullmatch(part)
        if match is None:
            raise InvalidRequestError(
                f"filters has {part[:60]!r}: expected eq, ne, contains or value_in, as in 'eq(state, 0)', "
                "joined by '+'."
            )
        function, field, value = match.groups()
        # The value of `value_in` is a list with semicolons.
        values = [each.strip() for each in value.split(";")] if function == "value_in" else [value]
        request.filters.add(function=_FUNCTIONS[function], field=field, values=values)
