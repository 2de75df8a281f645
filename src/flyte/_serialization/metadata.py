"""How a task is run, retried, limited and cached."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from flyteidl2.common.identifier_pb2 import RunIdentifier
from flyteidl2.core.literals_pb2 import Backoff as BackoffMessage
from flyteidl2.core.literals_pb2 import RetryStrategy as RetryMessage
from flyteidl2.core.literals_pb2 import TimeoutStrategy
from flyteidl2.core.tasks_pb2 import RuntimeMetadata, TaskMetadata
from google.protobuf.wrappers_pb2 import BoolValue

from flyte._authoring.cache import Cache, VersionParameters
from flyte._authoring.retry import Backoff, RetryStrategy
from flyte._authoring.task import TaskTemplate
from flyte._authoring.timeout import Timeout
from flyte._serialization.durations import duration_of, limit_of
from flyte._serialization.entry_point import is_pickled
from flyte._serialization.log_links import log_links_of
from flyte._version import __version__
from flyte.models import CodeBundle, SerializationContext

_BY_CODE = Cache("auto")
_versions: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()
_reading = Lock()
"""Held while source is parsed: in CPython 3.11, threads that parse at once may all fail."""


def metadata_of(task: TaskTemplate[Any, Any, Any], context: SerializationContext) -> TaskMetadata:
    """What the control plane must honour of a task, whatever it runs in.

    Raises:
        ValueError: the task is cached, and a cache policy fails.
    """
    cache = task.cache
    return TaskMetadata(
        runtime=RuntimeMetadata(type=RuntimeMetadata.FLYTE_SDK, version=__version__, flavor="python"),
        discoverable=cache.is_enabled(),
        discovery_version=discovery_version(task, context),
        cache_serializable=cache.serialize,
        cache_ignore_input_vars=cache.get_ignored_inputs() if cache.is_enabled() else (),
        cache_max_age=duration_of(cache.max_age),
        retries=retries_of(task.retries),
        timeout=limit_of(task.timeout.max_runtime),
        timeouts=timeouts_of(task.timeout),
        interruptible=task.interruptible,
        generates_deck=BoolValue(value=task.report),
        debuggable=task.debuggable and task.reusable is None,
        is_entrypoint=task.entrypoint,
        pod_template_name=task.pod_template if isinstance(task.pod_template, str) else None,
        log_links=log_links_of(task, context),
        code_bundle_uri=_uri(context.code_bundle),
        image_build_run=_build_run(task, context),
    )


def discovery_version(task: TaskTemplate[Any, Any, Any], context: SerializationContext) -> str:
    """The version of the task's code, also of a task that is not cached: it tells whether the code has changed.

    Raises:
        ValueError: the task is cached, and a cache policy fails.
    """
    bundle = context.code_bundle
    if bundle is not None and is_pickled(bundle):
        return bundle.computed_version
    if task.cache.is_enabled():
        return task.cache_version
    return _version_of_code(task)


def _version_of_code(task: TaskTemplate[Any, Any, Any]) -> str:
    function = getattr(task, "func", None)
    if function is None:
        return ""
    with _reading:
        if (version := _versions.get(function)) is None:
            version = _versions[function] = _read_version(task, function)
        return version


def _read_version(task: TaskTemplate[Any, Any, Any], function: Callable[..., Any]) -> str:
    try:
        return _BY_CODE.get_version(VersionParameters(func=function, image=task.image))
    except ValueError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        # The source is in no file; what it compiled to is.
        return task.code_version


def retries_of(retries: RetryStrategy) -> RetryMessage:
    """How often, and how soon, it is tried again."""
    backoff = None if retries.backoff is None else _backoff(retries.backoff)
    return RetryMessage(retries=retries.count, backoff=backoff)


def _backoff(backoff: Backoff) -> BackoffMessage:
    return BackoffMessage(base=duration_of(backoff.base), factor=backoff.factor, cap=duration_of(backoff.cap))


def timeouts_of(timeout: Timeout) -> TimeoutStrategy | None:
    """The limits besides that of one attempt; None where there are none."""
    queued, deadline = limit_of(timeout.max_queued_time), limit_of(timeout.deadline)
    if queued is None and deadline is None:
        return None
    return TimeoutStrategy(queued_timeout=queued, deadline=deadline)


def _uri(bundle: CodeBundle | None) -> str | None:
    return None if bundle is None else bundle.tgz or bundle.pkl


def _build_run(task: TaskTemplate[Any, Any, Any], context: SerializationContext) -> RunIdentifier | None:
    run = None if context.image_cache is None else context.image_cache.build_run_ids.get(task.parent_env_name)
    return None if run is None else RunIdentifier(**run)
