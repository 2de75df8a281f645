"""What the tests of serialization share: a context, and the message of a task in it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from flyteidl2.core.tasks_pb2 import TaskMetadata
from flyteidl2.task.task_definition_pb2 import TaskSpec

import flyte
from flyte._serialization import ImageCache, task_spec
from flyte.models import CodeBundle, SerializationContext

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = CodeBundle(computed_version="cv", tgz="s3://bucket/fast0.tar.gz")


def context(**changes: Any) -> SerializationContext:
    """A context with an archive of this repository."""
    made = SerializationContext("v1", "digits", "development", "acme", ARCHIVE, root_dir=ROOT)
    return dataclasses.replace(made, **changes)


def spec_of(task: Any, *, documented: bool = False, **changes: Any) -> TaskSpec:
    """The message of the task."""
    return task_spec(task, context(**changes), documented=documented)


def task_with(options: dict[str, Any] | None = None, **settings: Any) -> Any:
    """A task, of an environment with these settings, that a module of this folder holds."""
    environment = flyte.TaskEnvironment("served", **{"image": "base:1"} | settings)
    # Found again like any other: the module has it in a variable while the test runs.
    task = environment.task(**options or {})(_body)
    globals()["_body_task"] = task
    return task


async def _body(x: int = 1) -> int:
    return x


def metadata_of(options: dict[str, Any] | None = None, **settings: Any) -> TaskMetadata:
    """The metadata of such a task."""
    return spec_of(task_with(options, **settings)).task_template.metadata


BUILT = ImageCache({"served": "registry.example/served:1"}, {"served": {"name": "b1", "project": "system"}})
