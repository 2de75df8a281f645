"""Connections with one control plane, made when they are first used."""

from __future__ import annotations

import asyncio
import atexit
import os
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyqwest import Client, HTTPTransport

from flyte._rpc.calls import Calls
from flyte._rpc.settings import DEFAULT_DOMAIN, DEFAULT_PROJECT, SessionSettings
from flyte.errors import InitializationError
from flyte.syncify import syncify

if TYPE_CHECKING:
    from flyteidl2.auth.identity_connect import IdentityServiceClient
    from flyteidl2.cluster.service_connect import ClusterServiceClient
    from flyteidl2.dataproxy.dataproxy_service_connect import DataProxyServiceClient
    from flyteidl2.project.project_service_connect import ProjectServiceClient
    from flyteidl2.secret.secret_connect import SecretServiceClient
    from flyteidl2.settings.settings_service_connect import SettingsServiceClient
    from flyteidl2.task.task_service_connect import TaskServiceClient
    from flyteidl2.trigger.trigger_service_connect import TriggerServiceClient
    from flyteidl2.workflow.run_service_connect import RunServiceClient
    from flyteidl2.workflow.tracked_run_service_connect import TrackedRunServiceClient

CLOSE_S = 2.0
"""So long may it take to close connections when the process ends."""

SETTLE_S = 0.03
"""So long those threads get the interpreter for what they still have in hand."""


class Session:
    """The clients of the services of one control plane; for the loop of `flyte.syncify`.

    Making one calls nobody, and each client is imported when it is first asked for.
    """

    def __init__(self, settings: SessionSettings) -> None:
        self.settings = settings
        self._calls = Calls(settings)

    @property
    def org(self) -> str:
        """What is sent as the organisation; empty leaves it to the control plane."""
        return self.settings.org or ""

    @property
    def project(self) -> str:
        """The project of what names no other."""
        return self.settings.project or DEFAULT_PROJECT

    @property
    def domain(self) -> str:
        """The domain of what names no other."""
        return self.settings.domain or DEFAULT_DOMAIN

    @cached_property
    def http(self) -> Client:
        """The HTTP client that all calls share."""
        transport = _transport(self.settings)
        _close_at_exit(transport)
        return Client(transport)

    @cached_property
    def runs(self) -> RunServiceClient:
        from flyteidl2.workflow.run_service_connect import RunServiceClient

        return self._client(RunServiceClient)

    @cached_property
    def tracked_runs(self) -> TrackedRunServiceClient:
        from flyteidl2.workflow.tracked_run_service_connect import TrackedRunServiceClient

        return self._client(TrackedRunServiceClient)

    @cached_property
    def data(self) -> DataProxyServiceClient:
        from flyteidl2.dataproxy.dataproxy_service_connect import DataProxyServiceClient

        return self._client(DataProxyServiceClient)

    @cached_property
    def clusters(self) -> ClusterServiceClient:
        from flyteidl2.cluster.service_connect import ClusterServiceClient

        return self._client(ClusterServiceClient)

    @cached_property
    def tasks(self) -> TaskServiceClient:
        from flyteidl2.task.task_service_connect import TaskServiceClient

        return self._client(TaskServiceClient)

    @cached_property
    def projects(self) -> ProjectServiceClient:
        from flyteidl2.project.project_service_connect import ProjectServiceClient

        return self._client(ProjectServiceClient)

    @cached_property
    def secrets(self) -> SecretServiceClient:
        from flyteidl2.secret.secret_connect import SecretServiceClient

        return self._client(SecretServiceClient)

    @cached_property
    def triggers(self) -> TriggerServiceClient:
        from flyteidl2.trigger.trigger_service_connect import TriggerServiceClient

        return self._client(TriggerServiceClient)

    @cached_property
    def identity(self) -> IdentityServiceClient:
        from flyteidl2.auth.identity_connect import IdentityServiceClient

        return self._client(IdentityServiceClient)

    @cached_property
    def stored_settings(self) -> SettingsServiceClient:
        from flyteidl2.settings.settings_service_connect import SettingsServiceClient

        return self._client(SettingsServiceClient)

    def _client(self, cls: type[Any]) -> Any:
        return cls(self.settings.endpoint.url, http_client=self.http, interceptors=(self._calls,))


def _close_at_exit(transport: Any) -> None:
    """The connections are closed before the interpreter ends.

    The threads that serve them are not Python's: one that comes back with something while the interpreter is taken
    apart aborts the process.
    """
    owner_pid = os.getpid()

    def close() -> None:
        # A process that was forked from this one has none of these threads.
        if os.getpid() == owner_pid and hasattr(transport, "aclose"):
            with suppress(Exception):
                syncify.run_blocking(asyncio.wait_for(_closed(transport), CLOSE_S))
            time.sleep(SETTLE_S)

    atexit.register(close)


async def _closed(transport: Any) -> None:
    await transport.aclose()


def _transport(settings: SessionSettings) -> Any:
    """What carries requests. Certificates are loaded only where they are checked: that takes longer than a run."""
    proxy = settings.http_proxy_url
    if settings.endpoint.insecure:
        return HTTPTransport(proxy=proxy, enable_otel=False)
    if settings.insecure_skip_verify:
        from flyte._rpc.unverified import UnverifiedTransport

        return UnverifiedTransport(proxy)
    if settings.ca_cert_file_path is None:
        return HTTPTransport(tls_include_system_certs=True, proxy=proxy, enable_otel=False)
    try:
        certificates = Path(settings.ca_cert_file_path).expanduser().read_bytes()
    except OSError as error:
        raise InitializationError(
            "InvalidCertificates",
            "user",
            f"ca_cert_file_path {settings.ca_cert_file_path!r} cannot be read: {error.strerror}.",
        ) from error
    return HTTPTransport(tls_ca_cert=certificates, proxy=proxy, enable_otel=False)
