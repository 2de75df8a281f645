"""The command line that starts a task's process."""

from __future__ import annotations

from typing import Any

from flyte._authoring.function_task import AsyncFunctionTaskTemplate
from flyte._authoring.image_cache import ImageCache
from flyte._authoring.task import TaskTemplate
from flyte._bundle.resolvers import DefaultTaskResolver
from flyte.errors import RuntimeUserError
from flyte.models import CodeBundle, SerializationContext

_FILLED_IN_LATER = (
    "--raw-data-path",
    "{{.rawOutputDataPrefix}}",
    "--checkpoint-path",
    "{{.checkpointOutputPrefix}}",
    "--prev-checkpoint",
    "{{.prevCheckpointPrefix}}",
    "--run-name",
    "{{.runName}}",
    "--name",
    "{{.actionName}}",
    "--run-start-time",
    "{{.runStartTime}}",
)
"""What the control plane knows of an action, and fills in when it starts one."""


def arguments_of(task: TaskTemplate[Any, Any, Any], context: SerializationContext) -> list[str]:
    """What the task says its command line is; of a function task that says nothing, `entry_arguments`."""
    own = task.container_args(context)
    if not own and isinstance(task, AsyncFunctionTaskTemplate):
        return entry_arguments(task, context)
    return own


def entry_arguments(task: TaskTemplate[Any, Any, Any], context: SerializationContext) -> list[str]:
    """The `a0` command line: where inputs, outputs and code are, and how the task is found in the code.

    A pickled bundle is the task itself, so nothing needs to be found in it.

    Raises:
        RuntimeUserError: code `SerializationError`; there is neither a pickled bundle nor a root folder.
        ModuleLoadError: no module below the root folder holds the task.
    """
    arguments = ["a0", "--inputs", context.input_path, "--outputs-path", context.output_path]
    arguments += ["--version", context.version, *_FILLED_IN_LATER]
    if context.image_cache is not None:
        arguments += ["--image-cache", _transport(context.image_cache)]
    bundle = context.code_bundle
    if bundle is not None:
        arguments += ["--tgz", bundle.tgz] if bundle.tgz else ["--pkl", str(bundle.pkl)]
        arguments += ["--dest", bundle.destination or "."]
    if not is_pickled(bundle):
        arguments += _resolver_arguments(task, context)
    return arguments


def is_pickled(bundle: CodeBundle | None) -> bool:
    """True when the code is the pickled task, and no archive."""
    return bundle is not None and not bundle.tgz


def _resolver_arguments(task: TaskTemplate[Any, Any, Any], context: SerializationContext) -> list[str]:
    if context.root_dir is None:
        raise RuntimeUserError(
            "SerializationError",
            f"task {task.name!r} is found again by its module, whose name is relative to a root folder: set "
            f"SerializationContext.root_dir, or give it a code bundle with pkl=.",
        )
    resolver = DefaultTaskResolver()
    return ["--resolver", resolver.import_path, *resolver.loader_args(task, context.root_dir)]


def _transport(cache: Any) -> str:
    return ImageCache(cache.image_lookup, cache.build_run_ids).to_transport
