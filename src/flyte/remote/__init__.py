"""What a control plane holds, as objects: runs, actions, tasks, projects, secrets, triggers.

```py
import flyte
import flyte.remote

flyte.init(endpoint="localhost:30080", insecure=True)
for run in flyte.remote.Run.listall(limit=5):
    print(run.name, run.phase.value)
```

Calls block; the form for async code is `.aio`: `await flyte.remote.Run.get.aio("r1")`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyte._lazy import bound_lazily

if TYPE_CHECKING:
    from flyte._rpc.tokens import auth_metadata
    from flyte.remote._action import Action
    from flyte.remote._action_details import ActionDetails, PhaseTransitionInfo
    from flyte.remote._condition import Condition
    from flyte.remote._filters import TimeFilter
    from flyte.remote._lazy_entity import LazyEntity
    from flyte.remote._not_offered import App, Artifact, PartitionSchema
    from flyte.remote._project import Project
    from flyte.remote._run import Run, RunDetails
    from flyte.remote._secret import Secret, SecretTypes
    from flyte.remote._settings import Settings
    from flyte.remote._task import Task
    from flyte.remote._task_details import TaskDetails
    from flyte.remote._trigger import Trigger, TriggerDetails
    from flyte.remote._uploads import upload_dir, upload_file
    from flyte.remote._user import User
    from flyte.remote._values import ActionInputs, ActionOutputs

__all__ = [
    "Action",
    "ActionDetails",
    "ActionInputs",
    "ActionOutputs",
    "App",
    "Artifact",
    "Condition",
    "LazyEntity",
    "PartitionSchema",
    "PhaseTransitionInfo",
    "Project",
    "Run",
    "RunDetails",
    "Secret",
    "SecretTypes",
    "Settings",
    "Task",
    "TaskDetails",
    "TimeFilter",
    "Trigger",
    "TriggerDetails",
    "User",
    "auth_metadata",
    "upload_dir",
    "upload_file",
]

_MODULES = {
    "Action": "remote._action",
    "ActionDetails": "remote._action_details",
    "ActionInputs": "remote._values",
    "ActionOutputs": "remote._values",
    "App": "remote._not_offered",
    "Artifact": "remote._not_offered",
    "Condition": "remote._condition",
    "LazyEntity": "remote._lazy_entity",
    "PartitionSchema": "remote._not_offered",
    "PhaseTransitionInfo": "remote._action_details",
    "Project": "remote._project",
    "Run": "remote._run",
    "RunDetails": "remote._run",
    "Secret": "remote._secret",
    "SecretTypes": "remote._secret",
    "Settings": "remote._settings",
    "Task": "remote._task",
    "TaskDetails": "remote._task_details",
    "TimeFilter": "remote._filters",
    "Trigger": "remote._trigger",
    "TriggerDetails": "remote._trigger",
    "User": "remote._user",
    "auth_metadata": "_rpc.tokens",
    "upload_dir": "remote._uploads",
    "upload_file": "remote._uploads",
}

__getattr__, __dir__ = bound_lazily(__name__, "flyte", _MODULES)
