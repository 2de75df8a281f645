"""Starting runs, and the objects that stand for them."""

from flyte._run.initialization import init, init_from_config, is_initialized
from flyte._run.local import LocalRun, RunDetails
from flyte._run.outputs import ActionInputs, ActionOutputs
from flyte._run.rerunning import rerun
from flyte._run.resuming import resume
from flyte._run.runner import Runner, run, with_runcontext

__all__ = [
    "ActionInputs",
    "ActionOutputs",
    "LocalRun",
    "RunDetails",
    "Runner",
    "init",
    "init_from_config",
    "is_initialized",
    "rerun",
    "resume",
    "run",
    "with_runcontext",
]
