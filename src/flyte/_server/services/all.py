"""All services of this folder, each as the application that answers below its path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flyteidl2.actions.actions_service_connect import ActionsServiceASGIApplication
from flyteidl2.imagebuilder.service_connect import ImageServiceASGIApplication
from flyteidl2.project.project_service_connect import ProjectServiceASGIApplication
from flyteidl2.secret.secret_connect import SecretServiceASGIApplication
from flyteidl2.settings.settings_service_connect import SettingsServiceASGIApplication
from flyteidl2.task.task_service_connect import TaskServiceASGIApplication
from flyteidl2.trigger.trigger_service_connect import TriggerServiceASGIApplication
from flyteidl2.workflow.queue_service_connect import QueueServiceASGIApplication
from flyteidl2.workflow.run_service_connect import RunServiceASGIApplication
from flyteidl2.workflow.state_service_connect import StateServiceASGIApplication
from flyteidl2.workflow.tracked_run_service_connect import TrackedRunServiceASGIApplication

from flyte._server.readers import StoreReaders
from flyte._server.scheduling import Scheduling
from flyte._server.services.actions import ActionsService
from flyte._server.services.images import ImageService
from flyte._server.services.places import Places
from flyte._server.services.projects import ProjectService
from flyte._server.services.queue import QueueService
from flyte._server.services.runs import RunService
from flyte._server.services.secrets import SecretService
from flyte._server.services.settings import SettingsService
from flyte._server.services.state import StateService
from flyte._server.services.store import ServedStore
from flyte._server.services.tasks import TaskService
from flyte._server.services.tracked_runs import TrackedRunService
from flyte._server.services.triggers import TriggerService
from flyte._store.served_secrets import Vault
from flyte._store.writer import Writer


def made_services(
    scheduling: Scheduling, writer: Writer, home: Path, readers: StoreReaders, places: Places | None = None
) -> list[tuple[Any, Any]]:
    """The class of the application and the service of each, for whoever mounts them; as of `services`."""
    places = places or Places()
    store = ServedStore(home, writer, readers)
    # Each service is a class of its own, and so is each application.
    return [
        (QueueServiceASGIApplication, QueueService(scheduling)),
        (StateServiceASGIApplication, StateService(scheduling, store)),
        (ActionsServiceASGIApplication, ActionsService(scheduling)),
        (RunServiceASGIApplication, RunService(scheduling, store, places)),
        (TrackedRunServiceASGIApplication, TrackedRunService(scheduling, store, places)),
        (TaskServiceASGIApplication, TaskService(store, places)),
        (ProjectServiceASGIApplication, ProjectService(store, places)),
        (TriggerServiceASGIApplication, TriggerService(store, places)),
        (SecretServiceASGIApplication, SecretService(store, places, Vault(home))),
        (SettingsServiceASGIApplication, SettingsService(store, places)),
        (ImageServiceASGIApplication, ImageService(home)),
    ]


def services(
    scheduling: Scheduling,
    writer: Writer,
    home: Path,
    readers: StoreReaders,
    *,
    places: Places | None = None,
    read_max_bytes: int | None = None,
) -> Mapping[str, Any]:
    """The applications by their paths, such as `/flyteidl2.workflow.RunService`.

    `ensure_project` of `services/projects.py` is to be called before, once.

    Args:
        scheduling: Asked for all that happens to runs.
        writer: Of the store in `home`.
        readers: Of the same store.
        places: What runs belong to; by default organisation `local`.
        read_max_bytes: The largest message of a request; None for no bound.
    """
    made = made_services(scheduling, writer, home, readers, places)
    applications = [application(service, read_max_bytes=read_max_bytes) for application, service in made]
    return {application.path: application for application in applications}
