"""The image that a task runs in."""

from __future__ import annotations

from typing import Any

from flyte._authoring.task import TaskTemplate
from flyte.errors import RuntimeUserError
from flyte.models import SerializationContext


def image_uri(task: TaskTemplate[Any, Any, Any], context: SerializationContext) -> str:
    """The address of the image that the task runs in: as built for its environment, else as declared.

    Empty for a task that has none.

    Raises:
        RuntimeUserError: code `MissingEnvironment`; images were built, and not the one of this environment.
        ImageBuildError: the image has no address.
    """
    cache, environment = context.image_cache, task.parent_env_name
    if cache is not None and environment in cache.image_lookup:
        return str(cache.image_lookup[environment])
    if task.image is None:
        return ""
    if cache is not None and (task.image._layers or task.image._ref_name):
        built = ", ".join(sorted(cache.image_lookup)) or "none"
        raise RuntimeUserError(
            "MissingEnvironment",
            f"task {task.name!r}: the image of environment {environment!r} was not built; built are those of: {built}. "
            f"Name the environment in depends_on=[...] of the one whose tasks call it, or deploy it too. If its name "
            f"is made from an environment variable, give that variable to the calling task (env_vars=...).",
        )
    return task.image.uri
