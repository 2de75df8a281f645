"""An attempt whose calls go to a control plane, as its scope holds it."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from flyte._authoring.task import TaskTemplate
from flyte.models import ActionID, CodeBundle, SerializationContext
from flyte.report import Report


@dataclass(frozen=True)
class Place:
    """Where an attempt runs, and with what; its calls inherit it.

    Attributes:
        action: The action that is attempted: parent of its calls.
        run_base_dir: Where the run keeps the folders of its actions.
        version: Of the tasks.
        code: The packed code; None where it is in the working directory of each process.
        root_dir: Local folder that module names are relative to.
        image_cache: Images by environment, as built.
        is_interactive: The run was started from a notebook, so tasks travel as pickles.
    """

    action: ActionID
    run_base_dir: str
    version: str
    code: CodeBundle | None
    root_dir: Path
    image_cache: Any = None
    is_interactive: bool = False

    @property
    def pickles_tasks(self) -> bool:
        """Each task that is called is sent as a pickle of its own."""
        return self.is_interactive or (self.code is not None and self.code.pkl is not None)

    def serialization(self, code: CodeBundle | None) -> SerializationContext:
        """What a task that is called here is serialized with."""
        action = self.action
        return SerializationContext(
            version=self.version,
            project=action.project,
            domain=action.domain,
            org=action.org,
            code_bundle=code,
            image_cache=self.image_cache,
            root_dir=self.root_dir,
        )

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Equal where a task has the same spec."""
        action, code, images = self.action, self.code, self.image_cache
        return (
            *(action.project, action.domain, action.org, self.version, self.root_dir, self.is_interactive),
            *((code.tgz, code.pkl, code.destination, code.computed_version) if code is not None else ()),
            tuple(sorted(images.image_lookup.items())) if images is not None else None,
        )


@dataclass(slots=True, eq=False, kw_only=True)
class RemoteAttempt:
    """A running attempt, or a running trace inside one.

    Attributes:
        task: The task whose code runs.
        trace_of: Name of the traced function, when this is a trace.
    """

    task: TaskTemplate[Any, Any, Any]
    report: Report
    place: Place
    is_over: bool = False
    trace_of: str | None = None

    def inside_trace(self, name: str) -> Self:
        """This attempt as the code of a trace sees it."""
        inside = copy(self)
        inside.trace_of, inside.is_over = name, False
        return inside
