"""Starting runs, and the objects that stand for them."""

from flyte._run.initialization import (
    current_domain,
    current_project,
    init,
    init_from_api_key,
    init_from_config,
    init_in_cluster,
    init_passthrough,
    is_initialized,
)
from flyte._run.local import LocalRun, RunDetails
from flyte._run.rerunning import rerun
from flyte._run.resuming import resume
from flyte._run.runner import Runner, run, with_runcontext
from flyte.remote._values import ActionInputs, ActionOutputs

__all__ = [
    "ActionInputs",
    "ActionOutputs",
    "LocalRun",
    "RunDetails",
    "Runner",
    "current_domain",
    "current_project",
    "init",
    "init_from_api_key",
    "init_from_config",
    "init_in_cluster",
    "init_passthrough",
    "is_initialized",
    "rerun",
    "resume",
    "run",
    "with_runcontext",
]
