"""What a running task can learn about itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Dict, Literal, NoReturn, Optional

from flyte.models.checkpoints import Checkpoint, is_blank
from flyte.models.identity import ActionID, CallCounter, GroupData
from flyte.models.paths import CheckpointPaths, CodeBundle, RawDataPath
from flyte.models.rich_repr import RichRepr

if TYPE_CHECKING:
    from typing import Any as ImageCache  # what the image builder hands on; opaque here

    from flyte.report import Report

CLUSTERED_WORKER_ENV = "FLYTE_CLUSTERED_WORKER"
"""Set in each worker process of a task that runs as several."""

_CHECKPOINT_KEY = "__flyte_sync_checkpoint__"


def is_clustered_worker_env(env: Mapping[str, str]) -> bool:
    """True when `env` is that of one worker process among several: started by Flyte, or by torchrun."""
    return bool(env.get(CLUSTERED_WORKER_ENV) or env.get("TORCHELASTIC_RUN_ID"))


class _ProcessEnvironment:
    """What the launcher of a process told it through environment variables; None where a variable is unset."""

    @property
    def rank(self) -> int | None:
        """Number of this process among all of the task (`RANK`)."""
        return _int_from_env("RANK")

    @property
    def local_rank(self) -> int | None:
        """Number of this process on its node (`LOCAL_RANK`)."""
        return _int_from_env("LOCAL_RANK")

    @property
    def world_size(self) -> int | None:
        """How many processes run the task (`WORLD_SIZE`)."""
        return _int_from_env("WORLD_SIZE")

    @property
    def local_world_size(self) -> int | None:
        """How many of them are on this node (`LOCAL_WORLD_SIZE`)."""
        return _int_from_env("LOCAL_WORLD_SIZE")

    @property
    def node_rank(self) -> int | None:
        """Number of this node (`NODE_RANK`)."""
        return _int_from_env("NODE_RANK")

    @property
    def nnodes(self) -> int | None:
        """How many nodes run the task (`NNODES`)."""
        return _int_from_env("NNODES")

    @property
    def master_addr(self) -> str | None:
        """Host of the process that the others meet at (`MASTER_ADDR`)."""
        return os.environ.get("MASTER_ADDR")

    @property
    def master_port(self) -> int | None:
        """Port of the process that the others meet at (`MASTER_PORT`)."""
        return _int_from_env("MASTER_PORT")

    @property
    def restart_attempt(self) -> int | None:
        """How often this set of processes was restarted within one attempt (`JOBSET_RESTART_ATTEMPT`)."""
        return _int_from_env("JOBSET_RESTART_ATTEMPT")


def _int_from_env(name: str) -> int | None:
    value = os.environ.get(name)
    if not value:
        return None
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"environment variable {name} is {value!r}, expected an integer") from None


class _CheckpointsByOldName:
    """The name that `checkpoint_paths` had first."""

    checkpoint_paths: CheckpointPaths | None

    @property
    def checkpoints(self) -> CheckpointPaths | None:
        """The same as `checkpoint_paths`."""
        return self.checkpoint_paths


@dataclass(frozen=True, kw_only=True, repr=False)
class TaskContext(_CheckpointsByOldName, _ProcessEnvironment, RichRepr):
    """Where and as what the running task runs; `flyte.ctx()` gives it.

    `ctx["key"]` reads `data`, and is None for a key that is not there.

    Attributes:
        action: The action being run.
        version: Version of the task; empty or `na` where it has none.
        raw_data_path: Prefix for data too large for the outputs.
        input_path: Where the inputs were read from, if from a file.
        output_path: Where this action's outputs and report go.
        run_base_dir: Where the run keeps the folders of its actions.
        report: The report of this action.
        group_data: The group the action is in.
        checkpoint_paths: Where attempts leave something for the next; `checkpoints` is another name for it.
        code_bundle: The packed code that the task came from.
        compiled_image_cache: Images by environment, as built.
        data: Anything; private to the action.
        mode: Where the task runs: in the caller's process, on a control plane, or the former under the latter.
        interactive_mode: The run was started from a notebook or a prompt.
        custom_context: Labels that every action below inherits.
        disable_run_cache: No action of this run reads or writes the cache.
        in_driver_literal_conversion: Values are being converted on behalf of another action.
        run_start_time: When the run started, in UTC.
        task_action: The task's action, when `action` is one recorded inside it.
    """

    action: ActionID
    version: str
    raw_data_path: RawDataPath
    input_path: str | None = None
    output_path: str
    run_base_dir: str
    report: Report
    group_data: GroupData | None = None
    checkpoint_paths: CheckpointPaths | None = None
    code_bundle: CodeBundle | None = None
    compiled_image_cache: ImageCache | None = None
    data: Dict[str, Any] = field(default_factory=dict)
    mode: Literal["local", "remote", "hybrid"] = "remote"
    interactive_mode: bool = False
    custom_context: Dict[str, str] = field(default_factory=dict)
    disable_run_cache: bool = False
    in_driver_literal_conversion: bool = False
    run_start_time: Optional[datetime] = field(default_factory=lambda: datetime.now(UTC))
    task_action: ActionID | None = None
    _call_counter: CallCounter = field(default_factory=CallCounter, compare=False)
    _attempt_number: int | None = field(default=None, compare=False, repr=False)
    checkpoints: InitVar[CheckpointPaths | None] = None

    def __post_init__(self, checkpoints: CheckpointPaths | None) -> None:
        if checkpoints is not None:
            if self.checkpoint_paths not in (None, checkpoints):
                raise ValueError(
                    f"checkpoints={checkpoints!r} and checkpoint_paths={self.checkpoint_paths!r} are two names of one "
                    f"field: give one of them. To change it in a copy use `ctx.replace(checkpoint_paths=...)`."
                )
            object.__setattr__(self, "checkpoint_paths", checkpoints)
        if self.task_action is None:
            object.__setattr__(self, "task_action", self.action)

    def replace(self, **kwargs: Any) -> TaskContext:
        """A copy with some fields changed.

        `data` is merged into a new dictionary and None leaves it as it is; a copy made without `data` shares the
        dictionary. With another `action`, calls are counted from the start again.
        """
        changes = dict(self.__dict__)
        if "checkpoints" in kwargs:
            kwargs["checkpoint_paths"] = kwargs.pop("checkpoints")
        if (data := kwargs.pop("data", None)) is not None:
            changes["data"] = {**(self.data or {}), **data}
        if kwargs.get("action", self.action) != self.action:
            changes["_call_counter"] = CallCounter()
        return type(self)(**{**changes, **kwargs})

    def is_in_cluster(self) -> bool:
        """True when the task runs on a control plane, and not in the process that started the run."""
        return self.mode == "remote"

    @property
    def attempt_number(self) -> int:
        """Which try of the action this is, as the engine counts it.

        Where no engine says, `FLYTE_ATTEMPT_NUMBER` does; 0 without it.
        """
        if self._attempt_number is not None:
            return self._attempt_number
        return _int_from_env("FLYTE_ATTEMPT_NUMBER") or 0

    @property
    def checkpoint(self) -> Checkpoint | None:
        """What the previous attempt left, and where to leave something for the next; None where there is no place.

        The same object each time, for all copies of this context that share `data`. After a restart within one
        attempt it loads what that attempt itself saved.
        """
        paths = self.checkpoint_paths
        if paths is None or paths.checkpoint_path is None or is_blank(paths.checkpoint_path):
            return None
        source = paths.checkpoint_path if self.restart_attempt else paths.prev_checkpoint_path
        fresh = Checkpoint(paths.checkpoint_path, source)
        cached = self.data.get(_CHECKPOINT_KEY)
        if cached is None or cached.places != fresh.places:
            # A copy for another attempt or action shares `data` but not the paths.
            cached = self.data[_CHECKPOINT_KEY] = fresh
        return cached

    def __getitem__(self, key: str) -> Any | None:
        return self.data.get(key)

    def __contains__(self, key: object) -> bool:
        # Without it Python would try ctx[0], ctx[1]... for ever, as `ctx[key]` never raises.
        return self.data is not None and key in self.data

    __iter__ = None  # for the same reason


# The default of the constructor's parameter; away with it, for it hides the property of the same name.
del TaskContext.checkpoints


class _NullTaskContext(TaskContext):
    """What `flyte.ctx()` is outside a task: false, with every field None."""

    def __init__(self) -> None:
        for each in fields(self):
            object.__setattr__(self, each.name, None)

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "NullTaskContext()"

    def __reduce__(self) -> str:
        return "NULL_TASK_CONTEXT"

    def replace(self, **kwargs: Any) -> NoReturn:
        """There is nothing to copy.

        Raises:
            TypeError: always.
        """
        raise TypeError("no task is running here, so there is no context to copy; call this inside a task")


NULL_TASK_CONTEXT: TaskContext = _NullTaskContext()
"""The context outside a task."""
