"""Whether the project and the domain are there that a request names."""

from __future__ import annotations

from flyteidl2.project.project_service_pb2 import PROJECT_STATE_ACTIVE

from flyte._server.refusals import NotNowError, UnknownError
from flyte._server.services.places import Places
from flyte._server.services.store import ServedStore
from flyte._store.projects import find_project


async def require_place(store: ServedStore, places: Places, project: str, domain: str) -> None:
    """Nothing, of a place that is there; an empty project or domain is any.

    Raises:
        UnknownError: there is no such project or domain.
    """
    if domain and domain not in places.domains:
        raise UnknownError(f"there is no domain {domain!r}: expected one of {', '.join(places.domains)}.")
    if project and await store.read(lambda reader: find_project(reader, project)) is None:
        raise UnknownError(
            f"there is no project {project!r}: `flyte create project` makes one, `flyte get project` lists them."
        )


async def require_active_project(store: ServedStore, places: Places, project: str, domain: str) -> None:
    """The same of one that takes runs and tasks.

    Raises:
        UnknownError: as of `require_place`.
        NotNowError: the project is archived.
    """
    await require_place(store, places, project, domain)
    found = await store.read(lambda reader: find_project(reader, project))
    if found is None or found.state != PROJECT_STATE_ACTIVE:
        raise NotNowError(f"project {project!r} is archived: `flyte update project {project} --unarchive`.")
