"""The vocabulary: what Flyte and the programs written for it call things.

Plain values that import nothing heavy. Every class can be pickled, most are frozen, and equal values are equal objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING as TYPE_CHECKING

from flyte._docstring import Docstring as Docstring
from flyte.models.checkpoints import BaseCheckpoint as BaseCheckpoint
from flyte.models.checkpoints import Checkpoint as Checkpoint
from flyte.models.context import CLUSTERED_WORKER_ENV as CLUSTERED_WORKER_ENV
from flyte.models.context import NULL_TASK_CONTEXT as NULL_TASK_CONTEXT
from flyte.models.context import TaskContext as TaskContext
from flyte.models.context import is_clustered_worker_env as is_clustered_worker_env
from flyte.models.identity import ActionID as ActionID
from flyte.models.identity import CallCounter as CallCounter
from flyte.models.identity import GroupData as GroupData
from flyte.models.interface import NativeInterface as NativeInterface
from flyte.models.naming import generate_random_name as generate_random_name
from flyte.models.naming import sub_action_name as sub_action_name
from flyte.models.paths import CheckpointPaths as CheckpointPaths
from flyte.models.paths import CodeBundle as CodeBundle
from flyte.models.paths import PathRewrite as PathRewrite
from flyte.models.paths import RawDataPath as RawDataPath
from flyte.models.phases import ActionPhase as ActionPhase
from flyte.models.serialization import SerializationContext as SerializationContext

Checkpoints = CheckpointPaths
"""The first name of `CheckpointPaths`."""

MAX_INLINE_IO_BYTES = 10 * 1024 * 1024
"""Serialized inputs or outputs of an action larger than this are refused, unless its task says otherwise."""
