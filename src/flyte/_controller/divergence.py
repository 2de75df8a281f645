"""Whether a task that runs again still makes the calls it made before."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from flyteidl2.task.common_pb2 import Inputs

from flyte._controller.recall import Recall
from flyte._store.payloads import load_payload
from flyte._store.records import ActionRecord
from flyte.errors import RuntimeUserError

_SHOWN = 3


def check_divergence(recall: Recall, home: Path, parent: ActionRecord, new_calls: Sequence[ActionRecord]) -> None:
    """Says so when `parent` made `new_calls` in place of recorded ones: it is not deterministic.

    A task that is resumed must make the calls it made before; else their results are computed for nothing, and what
    the run says about itself is not what happened.

    Raises:
        RuntimeUserError: code `NonDeterministic`, when `recall` says that divergence is an error.
    """
    missing = recall.unclaimed(parent)
    if not missing or not new_calls:
        return
    message = (
        f"task {parent.task_name!r} (action {parent.name}) made other calls than before the run was resumed. "
        f"New: {_calls(home, new_calls)}. Recorded and not made again: {_calls(home, missing)}. "
        "Calls must not depend on the time, on chance, or on the order in which others finish."
    )
    if recall.on_divergence == "error":
        raise RuntimeUserError("NonDeterministic", message)
    warnings.warn(message, stacklevel=2)


def _calls(home: Path, records: Sequence[ActionRecord]) -> str:
    shown = ", ".join(f"{record.task_name}({_inputs(home, record)}) as {record.name}" for record in records[:_SHOWN])
    return shown if len(records) <= _SHOWN else f"{shown} and {len(records) - _SHOWN} more"


def _inputs(home: Path, record: ActionRecord) -> str:
    from flyte.types import literal_string_repr

    inputs = Inputs.FromString(load_payload(home, record.inputs, record.inputs_file) or b"")
    return ", ".join(f"{name}={value!r}" for name, value in literal_string_repr(inputs).items())
