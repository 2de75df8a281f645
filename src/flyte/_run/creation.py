"""Making a run: its row, its root action with its inputs, its folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from flyte._controller.limits import check_inline_size
from flyte._controller.local_run import LocalRunSpec, payload_path, run_folder
from flyte._engine.names import ROOT_ACTION
from flyte._faults import reach
from flyte._run.code import code_settings, keep_code
from flyte._run.initialization import settings
from flyte._run.inputs import convert_root_inputs
from flyte._run.options import RunOptions
from flyte._run.raw_data import chosen_raw_data_path, default_raw_data_path, raw_data_settings
from flyte._run.retention import apply_retention
from flyte._run.run_names import random_run_name
from flyte._store.data_holders import RAW_FOLDER
from flyte._store.owners import this_process
from flyte._store.payloads import INLINE_LIMIT_BYTES, spill
from flyte._store.records import ActionKind, ActionRecord, NewRun, action_id
from flyte._store.writer import ActionRow, Writer, insert_run
from flyte.config._in_force import image_config
from flyte.errors import RunAlreadyExistsError
from flyte.models import ActionPhase, CodeBundle
from flyte.storage._settings import given_storage
from flyte.types._offloading import offload

if TYPE_CHECKING:
    from flyteidl2.task.common_pb2 import Inputs

    from flyte._authoring.task import TaskTemplate


def create_run(
    writer: Writer, options: RunOptions, task: TaskTemplate[Any, Any, Any], convert: Callable[[], Inputs]
) -> tuple[LocalRunSpec, ActionRecord, Inputs]:
    """A new run, its root action and its inputs, all in the store: from here on the run can be resumed.

    Raises:
        RunAlreadyExistsError: there is a run of that name.
        InlineIOMaxBytesBreached: the inputs are larger than the task allows.
        TypeError: an input does not fit. Nothing was recorded.
        ValueError: an input is missing or unknown. Nothing was recorded.
    """
    name = options.name or random_run_name()
    now_us = time.time_ns() // 1000
    start_time = options.run_start_time or datetime.now(UTC)
    options = replace(options, raw_data_path=chosen_raw_data_path(options.raw_data_path))
    bundle = keep_code(task, options.copy_style) if options.isolated else None
    spec = replace(local_spec(writer, 0, name, start_time, options), code_bundle=bundle)
    root = _root_record(task, now_us)
    inputs = convert_root_inputs(spec, root, task, convert)
    data = inputs.SerializeToString(deterministic=True)
    check_inline_size(task, "inputs", len(data))
    file = None
    if len(data) > INLINE_LIMIT_BYTES and spec.has_chosen_raw_data_path:
        data = offload(inputs, spec.raw_data_path).SerializeToString(deterministic=True)
    if len(data) <= INLINE_LIMIT_BYTES:
        root.inputs = data
    else:
        # A run of this name may exist: its file must stay as it is.
        file = root.inputs_file = payload_path(name, ROOT_ACTION, f"inputs-{token_hex(4)}.pb")
        spill(writer.home, file, data)
    run_id = writer.write(insert_run(_new_run(options, task, name, start_time, now_us, bundle), partial(_row, root)))
    if run_id is None:
        if file is not None:
            (writer.home / file).unlink()
        raise RunAlreadyExistsError(
            f"there already is a run {name!r}: `flyte get run {name}` shows it, `flyte resume {name}` goes on with it. "
            "Choose another name for a new run, or leave the name out to get a fresh one."
        )
    reach("run.created")
    apply_retention(writer.home)
    return replace(spec, run_id=run_id), root, inputs


def local_spec(writer: Writer, run_id: int, name: str, start_time: datetime, options: RunOptions) -> LocalRunSpec:
    """The settings of a run as its controller needs them."""
    folder = run_folder(writer.home, name)
    defaults = settings()
    return LocalRunSpec(
        run_id=run_id,
        name=name,
        home=writer.home,
        owner=this_process(),
        start_time=start_time,
        run_base_dir=options.run_base_dir or str(folder),
        raw_data_path=options.raw_data_path or default_raw_data_path(folder / RAW_FOLDER),
        project=options.project or defaults.project,
        domain=options.domain or defaults.domain,
        org=defaults.org,
        custom_context=options.custom_context,
        use_cache=not options.disable_run_cache,
        overwrite_cache=options.overwrite_cache,
        storage=given_storage(),
        isolated=options.isolated,
        image_refs=dict(image_config().image_refs) if options.isolated else {},
    )


def _new_run(
    options: RunOptions,
    task: TaskTemplate[Any, Any, Any],
    name: str,
    start_time: datetime,
    now_us: int,
    bundle: CodeBundle | None,
) -> NewRun:
    defaults = settings()
    return NewRun(
        name=name,
        task_name=task.name,
        mode="local",
        created_us=now_us,
        owner=this_process(),
        project=options.project or defaults.project,
        domain=options.domain or defaults.domain,
        org=defaults.org,
        version=options.version or "",
        labels=options.labels,
        source_file=task.source_file or "",
        settings={
            "run_start_time": start_time.isoformat(),
            **raw_data_settings(options.raw_data_path),
            "run_base_dir": options.run_base_dir,
            "custom_context": dict(options.custom_context),
            "disable_run_cache": options.disable_run_cache,
            "overwrite_cache": options.overwrite_cache,
            "isolated": options.isolated,
            "code_bundle": code_settings(bundle),
            "root_dir": str(defaults.root_dir.resolve()) if defaults.root_dir else None,
            "recovery": options.recovery,
        },
    )


def _root_record(task: TaskTemplate[Any, Any, Any], now_us: int) -> ActionRecord:
    return ActionRecord(
        action_id=0,
        run_id=0,
        name=ROOT_ACTION,
        parent_id=None,
        kind=ActionKind.TASK,
        task_name=task.name,
        group_name=None,
        phase=ActionPhase.RUNNING.to_protobuf_value(),
        attempt_no=1,
        created_us=now_us,
        started_us=now_us,
    )


def _row(root: ActionRecord, run_id: int) -> ActionRow:
    root.run_id, root.action_id = run_id, action_id(run_id, 1)
    return root.row()
