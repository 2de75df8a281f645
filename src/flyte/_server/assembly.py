"""What a server is made of, put together in order and taken apart in the other."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from flyteidl2.auth.auth_service_connect import AuthMetadataServiceASGIApplication
from flyteidl2.auth.identity_connect import IdentityServiceASGIApplication
from flyteidl2.cluster.service_connect import ClusterServiceASGIApplication
from flyteidl2.dataproxy.dataproxy_service_connect import DataProxyServiceASGIApplication
from flyteidl2.workflow.run_logs_service_connect import RunLogsServiceASGIApplication
from starlette.types import ASGIApp

from flyte._server.access import Access
from flyte._server.app import AppParts, create_app
from flyte._server.calls import Calls
from flyte._server.downloads import Downloads
from flyte._server.executors.capacity import machine_capacity
from flyte._server.executors.hosted import HostedExecutor, HostSettings
from flyte._server.executors.images import ImageMapping
from flyte._server.executors.orders import Capacity
from flyte._server.health import Health
from flyte._server.housekeeping import HOST_LOG_FILE, Housekeeping
from flyte._server.limits import RequestRate
from flyte._server.log_tails import LogTails
from flyte._server.metrics import Metrics
from flyte._server.open_work import open_work
from flyte._server.readers import StoreReaders
from flyte._server.scheduler import Scheduler
from flyte._server.services.all import made_services
from flyte._server.services.auth_metadata import AuthMetadataService
from flyte._server.services.cluster import ClusterService
from flyte._server.services.data_proxy import DataPlane, DataProxyService
from flyte._server.services.identity import IdentityService
from flyte._server.services.logs import RunLogsService
from flyte._server.services.places import Places
from flyte._server.services.projects import ensure_project
from flyte._server.services.store import ServedStore
from flyte._server.settings import ServerSettings
from flyte._server.signing import LinkSigner
from flyte._server.streams import OpenStreams
from flyte._server.task_token import task_token, token_variables
from flyte._server.tokens import TokenStore
from flyte._server.uploads import Uploads
from flyte._store.reader import RunFilter
from flyte._store.writer import Writer
from flyte.errors import RuntimeUserError

_RATE_OF_OTHERS = 500.0
"""Requests a second of another machine. One that runs tasks here asks for far fewer."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """A server that can answer.

    Attributes:
        app: Its application.
        scheduler: What it does beside answering.
        executor: What runs attempts.
    """

    app: ASGIApp
    health: Health
    streams: OpenStreams
    scheduler: Scheduler
    executor: HostedExecutor


@asynccontextmanager
async def assembled(settings: ServerSettings, task_endpoint: str) -> AsyncIterator[Assembly]:
    """A server, until the block ends; attempts that run then are killed, unless they were
    left to the next server, and their actions stay open for it.

    Args:
        settings: How it is run.
        task_endpoint: How its attempts reach it, as `host:port`.

    Raises:
        StoreError: the store cannot be opened.
        RuntimeUserError: code `BadImageMapping`; there is no such environment.
    """
    home, places = settings.home, Places()
    async with AsyncExitStack() as parts:
        signer, tokens = LinkSigner(home), TokenStore(home)
        shown_by_tasks = task_token(home)
        writer = Writer(home)
        parts.callback(writer.close)
        readers = StoreReaders(home)
        parts.callback(readers.close)
        await asyncio.to_thread(ensure_project, writer, places)
        executor = HostedExecutor(_host_settings(settings, task_endpoint))
        parts.push_async_callback(executor.close)
        # It takes as long as all that follows.
        starting = asyncio.create_task(executor.start())
        parts.push_async_callback(asyncio.wait, (starting,))
        scheduler = Scheduler(writer, executor, settings.queues)
        parts.push_async_callback(scheduler.close)

        streams = OpenStreams(settings.max_streams)
        metrics = Metrics(lambda: readers.read(open_work), lambda: streams.total)
        calls = Calls(metrics, streams, settings.max_request_bytes)
        uploads = Uploads(home, signer, metrics, settings.max_upload_bytes)
        downloads = Downloads(home, signer, metrics)
        store = ServedStore(home, writer, readers)
        plane = DataPlane(store, uploads, downloads, LogTails(readers, scheduler))
        health = Health(lambda: _check(readers, scheduler))
        made = [*made_services(scheduler, writer, home, readers, places), *_own_services(plane)]
        app = create_app(
            dict(calls.mount(application, service) for application, service in made),
            AppParts(
                calls=calls,
                access=Access(
                    tokens,
                    _user(),
                    requires_token=settings.requires_token,
                    task_token=shown_by_tasks,
                    hosts=settings.host_names,
                ),
                metrics=metrics,
                health=health,
                uploads=uploads,
                downloads=downloads,
                rate=RequestRate(settings.rate_per_s or _RATE_OF_OTHERS),
                limits_own_machine=settings.rate_per_s is not None,
                logs_access=settings.logs_access,
            ),
        )
        await scheduler.start()
        tidying = asyncio.create_task(asyncio.to_thread(uploads.remove_leftovers))
        parts.push_async_callback(asyncio.wait, (tidying,))
        housekeeping = Housekeeping(settings, readers, scheduler)
        housekeeping.start()
        parts.push_async_callback(housekeeping.close)
        yield Assembly(app, health, streams, scheduler, executor)


def _own_services(plane: DataPlane) -> list[tuple[type, object]]:
    return [
        (AuthMetadataServiceASGIApplication, AuthMetadataService()),
        (ClusterServiceASGIApplication, ClusterService()),
        (DataProxyServiceASGIApplication, DataProxyService(plane)),
        (IdentityServiceASGIApplication, IdentityService()),
        (RunLogsServiceASGIApplication, RunLogsService(plane.tails)),
    ]


def _host_settings(settings: ServerSettings, task_endpoint: str) -> HostSettings:
    try:
        ImageMapping.parse(settings.images)
    except ValueError as error:
        raise RuntimeUserError("BadImageMapping", f"--image: {error}") from error
    return HostSettings(
        home=settings.home,
        endpoint=task_endpoint,
        images=settings.images,
        extra_env=token_variables(settings.home) if settings.requires_token else {},
        capacity=_capacity(settings),
        log_file=settings.home / HOST_LOG_FILE,
    )


def _capacity(settings: ServerSettings) -> Capacity:
    capacity = machine_capacity()
    if settings.cpu_millis is not None:
        capacity = replace(capacity, cpu_millis=settings.cpu_millis)
    if settings.memory_bytes is not None:
        capacity = replace(capacity, memory_bytes=settings.memory_bytes)
    return capacity


async def _check(readers: StoreReaders, scheduler: Scheduler) -> None:
    if scheduler.error is not None:
        raise RuntimeError(scheduler.error)
    await readers.read(lambda reader: reader.list_runs(RunFilter(limit=1)))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
