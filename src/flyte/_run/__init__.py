"""Starting runs, and the objects that stand for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyte._lazy import bound_lazily

if TYPE_CHECKING:
    from flyte._run.initialization import current_domain as current_domain
    from flyte._run.initialization import current_project as current_project
    from flyte._run.initialization import init as init
    from flyte._run.initialization import init_from_api_key as init_from_api_key
    from flyte._run.initialization import init_from_config as init_from_config
    from flyte._run.initialization import init_in_cluster as init_in_cluster
    from flyte._run.initialization import init_passthrough as init_passthrough
    from flyte._run.initialization import is_initialized as is_initialized
    from flyte._run.local import LocalRun as LocalRun
    from flyte._run.local import RunDetails as RunDetails
    from flyte._run.rerunning import rerun as rerun
    from flyte._run.resuming import resume as resume
    from flyte._run.runner import Runner as Runner
    from flyte._run.runner import run as run
    from flyte._run.runner import with_runcontext as with_runcontext
    from flyte.remote._values import ActionInputs as ActionInputs
    from flyte.remote._values import ActionOutputs as ActionOutputs

_NAMES = {
    "_run.initialization": "current_domain current_project init init_from_api_key init_from_config init_in_cluster "
    "init_passthrough is_initialized",
    "_run.local": "LocalRun RunDetails",
    "_run.rerunning": "rerun",
    "_run.resuming": "resume",
    "_run.runner": "Runner run with_runcontext",
    "remote._values": "ActionInputs ActionOutputs",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}

# Those who run remotely have no use for what runs locally.
__getattr__, __dir__ = bound_lazily(__name__, "flyte", _MODULES)
