"""Durable typed Python tasks: declare them in an environment, call them from one another, run them with `flyte.run`.

The public names are bound on first use, so that `import flyte` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from flyte._version import __version__ as __version__

if TYPE_CHECKING:
    from flyte import durable as durable
    from flyte._authoring.cache import Cache as Cache
    from flyte._authoring.cache import CachePolicy as CachePolicy
    from flyte._authoring.cache import CacheRequest as CacheRequest
    from flyte._authoring.condition import ConditionWebhook as ConditionWebhook
    from flyte._authoring.condition import new_condition as new_condition
    from flyte._authoring.custom_context import custom_context as custom_context
    from flyte._authoring.custom_context import get_custom_context as get_custom_context
    from flyte._authoring.devices import AMD_GPU as AMD_GPU
    from flyte._authoring.devices import APPLE_SILICON as APPLE_SILICON
    from flyte._authoring.devices import GPU as GPU
    from flyte._authoring.devices import HABANA_GAUDI as HABANA_GAUDI
    from flyte._authoring.devices import TPU as TPU
    from flyte._authoring.devices import Device as Device
    from flyte._authoring.devices import DeviceClass as DeviceClass
    from flyte._authoring.devices import Neuron as Neuron
    from flyte._authoring.documentation import Documentation as Documentation
    from flyte._authoring.environment import Environment as Environment
    from flyte._authoring.function_task import AsyncFunctionTaskTemplate as AsyncFunctionTaskTemplate
    from flyte._authoring.group import group as group
    from flyte._authoring.image import Image as Image
    from flyte._authoring.link import Link as Link
    from flyte._authoring.map import map as map
    from flyte._authoring.pod import PodTemplate as PodTemplate
    from flyte._authoring.resources import Resources as Resources
    from flyte._authoring.retry import Backoff as Backoff
    from flyte._authoring.retry import RetryStrategy as RetryStrategy
    from flyte._authoring.reuse import ReusePolicy as ReusePolicy
    from flyte._authoring.secret import Secret as Secret
    from flyte._authoring.secret import SecretRequest as SecretRequest
    from flyte._authoring.task import TaskTemplate as TaskTemplate
    from flyte._authoring.task_environment import TaskEnvironment as TaskEnvironment
    from flyte._authoring.timeout import Timeout as Timeout
    from flyte._authoring.timeout import TimeoutType as TimeoutType
    from flyte._authoring.trace import trace as trace
    from flyte._authoring.triggers import Cron as Cron
    from flyte._authoring.triggers import FixedRate as FixedRate
    from flyte._authoring.triggers import Trigger as Trigger
    from flyte._authoring.triggers import TriggerTime as TriggerTime
    from flyte._context import ctx as ctx
    from flyte._image.building import ImageBuild as ImageBuild
    from flyte._image.building import build as build
    from flyte._image.building import build_images as build_images
    from flyte._logging import logger as logger
    from flyte._logging import system_logger as system_logger
    from flyte._run import current_domain as current_domain
    from flyte._run import current_project as current_project
    from flyte._run import init as init
    from flyte._run import init_from_api_key as init_from_api_key
    from flyte._run import init_from_config as init_from_config
    from flyte._run import init_in_cluster as init_in_cluster
    from flyte._run import init_passthrough as init_passthrough
    from flyte._run import rerun as rerun
    from flyte._run import resume as resume
    from flyte._run import run as run
    from flyte._run import with_runcontext as with_runcontext
    from flyte._run.deploying import deploy as deploy
    from flyte.models import BaseCheckpoint as BaseCheckpoint
    from flyte.models import Checkpoint as Checkpoint

_MODULES = {
    "_authoring.cache": "Cache CachePolicy CacheRequest",
    "_authoring.condition": "ConditionWebhook new_condition",
    "_authoring.custom_context": "custom_context get_custom_context",
    "_authoring.devices": "AMD_GPU APPLE_SILICON GPU HABANA_GAUDI TPU Device DeviceClass Neuron",
    "_authoring.documentation": "Documentation",
    "_authoring.environment": "Environment",
    "_authoring.function_task": "AsyncFunctionTaskTemplate",
    "_authoring.group": "group",
    "_authoring.image": "Image",
    "_authoring.link": "Link",
    "_authoring.map": "map",
    "_authoring.pod": "PodTemplate",
    "_authoring.resources": "Resources",
    "_authoring.retry": "Backoff RetryStrategy",
    "_authoring.reuse": "ReusePolicy",
    "_authoring.secret": "Secret SecretRequest",
    "_authoring.task": "TaskTemplate",
    "_authoring.task_environment": "TaskEnvironment",
    "_authoring.timeout": "Timeout TimeoutType",
    "_authoring.trace": "trace",
    "_authoring.triggers": "Cron FixedRate Trigger TriggerTime",
    "_context": "ctx",
    "_image.building": "ImageBuild build build_images",
    "_logging": "logger system_logger",
    "_run": "current_domain current_project init init_from_api_key init_from_config init_in_cluster init_passthrough "
    "rerun resume run with_runcontext",
    "_run.deploying": "deploy",
    "models": "BaseCheckpoint Checkpoint",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}
_PACKAGES = frozenset(
    {"config", "durable", "errors", "io", "models", "remote", "report", "storage", "syncify", "types"}
)

__all__ = [
    "AMD_GPU",
    "APPLE_SILICON",
    "GPU",
    "HABANA_GAUDI",
    "TPU",
    "AsyncFunctionTaskTemplate",
    "Backoff",
    "BaseCheckpoint",
    "Cache",
    "CachePolicy",
    "CacheRequest",
    "Checkpoint",
    "ConditionWebhook",
    "Cron",
    "Device",
    "DeviceClass",
    "Documentation",
    "Environment",
    "FixedRate",
    "Image",
    "ImageBuild",
    "Link",
    "Neuron",
    "PodTemplate",
    "Resources",
    "RetryStrategy",
    "ReusePolicy",
    "Secret",
    "SecretRequest",
    "TaskEnvironment",
    "TaskTemplate",
    "Timeout",
    "TimeoutType",
    "Trigger",
    "TriggerTime",
    "__version__",
    "build",
    "build_images",
    "ctx",
    "current_domain",
    "current_project",
    "custom_context",
    "deploy",
    "get_custom_context",
    "group",
    "init",
    "init_from_api_key",
    "init_from_config",
    "init_in_cluster",
    "init_passthrough",
    "logger",
    "map",
    "new_condition",
    "rerun",
    "resume",
    "run",
    "system_logger",
    "trace",
    "version",
    "with_runcontext",
]


def version() -> str:
    """The version of this distribution."""
    return __version__


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is not None:
        value = getattr(import_module(f"flyte.{module}"), name)
        # The next use finds the name here and does not come by this function.
        globals()[name] = value
        return value
    if name in _PACKAGES:
        return import_module(f"flyte.{name}")
    raise AttributeError(_no_such_name(name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})


def _no_such_name(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, __all__, n=2)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"module 'flyte' (version {__version__}) has no attribute {name!r}.{hint}"
