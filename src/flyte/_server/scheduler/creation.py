"""Making a run that is served, with its root action."""

from __future__ import annotations

import asyncio
import random
import string
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from flyteidl2.common.identifier_pb2 import ActionIdentifier, RunIdentifier
from flyteidl2.task.common_pb2 import Inputs
from flyteidl2.workflow.run_definition_pb2 import ActionSpec, TaskAction
from google.protobuf.message import DecodeError

from flyte._controller.local_run import RUNS_FOLDER
from flyte._engine.cache_keys import cache_key
from flyte._engine.names import ROOT_ACTION, check_run_name
from flyte._server.data_addresses import read_data
from flyte._server.refusals import AlreadyThereError, InvalidRequestError, RefusedError
from flyte._server.scheduler.commits import Commits, served_row
from flyte._server.scheduler.ending import relative_to
from flyte._server.scheduler.recovery import load_recovered
from flyte._server.scheduler.rules import KnownSpec, KnownSpecs
from flyte._server.scheduler.states import OpenAction, OpenRun
from flyte._server.scheduling import RunRequest
from flyte._store.data_holders import RAW_FOLDER
from flyte._store.owners import this_process
from flyte._store.records import ActionKind, ActionRecord, NewRun, action_id
from flyte._store.served import EXTERNAL, SERVED, ServedRun, insert_served_run
from flyte.errors import RuntimeUserError
from flyte.models import ActionPhase
from flyte.types._hashing import inputs_hash

_ALPHABET = string.ascii_lowercase + string.digits
_FRESH_NAMES = 3


async def create_run(home: Path, commits: Commits, specs: KnownSpecs, request: RunRequest) -> OpenRun:
    """A new run, in the store with its root action.

    Raises:
        AlreadyThereError: there is a run of that name.
        InvalidRequestError: it cannot be run.
    """
    known = specs.of(request.spec)
    _check(request, known)
    digest = await _root_cache_key(home, request, known)
    recovered = await load_recovered(home, request.run_spec)
    for _ in range(_FRESH_NAMES):
        name = request.name or "r" + "".join(random.SystemRandom().choices(_ALPHABET, k=11))
        run = _open_run(home, request, name)
        run.recovered = recovered
        root = _root(home, run, request, known)
        root.cache_key = digest
        change = insert_served_run(
            _new_run(run, request, known),
            lambda _, run=run: _served_run(run, request),  # type: ignore[misc]
            partial(_rows, root),
            (known.digest, known.data),
        )
        run_id = await commits.change(change)
        if isinstance(run_id, int):
            run.run_id = run_id
            root.is_stored = True
            return run
        if request.name is not None:
            break
    raise AlreadyThereError(f"run with the name exists: there already is a run {name!r}. Choose another name.")


def _check(request: RunRequest, known: KnownSpec) -> None:
    if request.name is not None:
        try:
            check_run_name(request.name)
        except RuntimeUserError as error:
            raise InvalidRequestError(str(error)) from None
    template = known.spec.task_template
    if not known.name:
        raise InvalidRequestError("the task has no name: `task_spec.task_template.id.name` is empty.")
    if not request.is_external:
        # What it takes can be understood; later there is nobody to tell.
        _ = known.request
    if not request.is_external and not (template.HasField("container") or template.HasField("k8s_pod")):
        raise InvalidRequestError(
            f"task {known.name!r} of type {template.type!r} has neither a container nor a pod: it cannot be run here."
        )


async def _root_cache_key(home: Path, request: RunRequest, known: KnownSpec) -> str | None:
    rules = known.cache
    if rules is None or request.is_external:
        return None
    digest = request.inputs_hash
    if rules.ignored or not digest:
        try:
            inputs = Inputs.FromString(
                await asyncio.to_thread(read_data, request.inputs_uri, home, [request.run_spec.run_base_dir])
            )
        except (RefusedError, DecodeError) as error:
            raise InvalidRequestError(f"the inputs of the run cannot be read: {error}") from None
        digest = inputs_hash(inputs, rules.ignored)
    return cache_key(digest, known.name, known.interface_hash, known.version)


def _open_run(home: Path, request: RunRequest, name: str) -> OpenRun:
    run_spec = request.run_spec
    base_dir = run_spec.run_base_dir or str(home / RUNS_FOLDER)
    if not run_spec.run_base_dir or not base_dir.rstrip("/").endswith(f"/{name}"):
        base_dir = f"{base_dir.rstrip('/')}/{name}"
    started_us = time.time_ns() // 1000 if request.started_at is None else round(request.started_at.timestamp() * 1e6)
    return OpenRun(
        run_id=0,
        name=name,
        org=request.org,
        project=request.project,
        domain=request.domain,
        run_spec=run_spec,
        base_dir=base_dir,
        raw_data_prefix=run_spec.raw_data_storage.raw_data_prefix or f"{base_dir}/{RAW_FOLDER}",
        started_us=started_us,
        is_external=request.is_external,
        created_by=request.created_by,
        last_sequence_no=1,
    )


def _root(home: Path, run: OpenRun, request: RunRequest, known: KnownSpec) -> OpenAction:
    now_us = time.time_ns() // 1000
    phase = ActionPhase.RUNNING if request.is_external else ActionPhase.QUEUED
    record = ActionRecord(
        action_id=0,
        run_id=0,
        name=ROOT_ACTION,
        parent_id=None,
        kind=ActionKind.TASK,
        task_name=known.name,
        group_name=None,
        phase=phase.to_protobuf_value(),
        attempt_no=1,
        created_us=now_us,
        started_us=now_us if request.is_external else None,
        inputs_file=relative_to(home, request.inputs_uri),
    )
    identifier = RunIdentifier(org=run.org, project=run.project, domain=run.domain, name=run.name)
    target = ActionSpec(
        action_id=ActionIdentifier(run=identifier, name=ROOT_ACTION),
        input_uri=request.inputs_uri,
        run_output_base=run.base_dir,
        task=TaskAction(id=request.task_id, queue=run.run_spec.queue),
    )
    root = OpenAction(run=run, record=record, target=target, known=known, parent=None, called_us=now_us)
    root.output_uri = f"{root.folder}/1"
    run.actions[ROOT_ACTION] = root
    return root


def _new_run(run: OpenRun, request: RunRequest, known: KnownSpec) -> NewRun:
    return NewRun(
        name=run.name,
        task_name=known.name,
        mode=EXTERNAL if run.is_external else SERVED,
        created_us=run.root.record.created_us,
        owner=this_process(),
        project=run.project,
        domain=run.domain,
        org=run.org,
        version=request.task_id.version,
        labels=dict(run.run_spec.labels.values),
        settings={"started_us": run.started_us},
    )


def _served_run(run: OpenRun, request: RunRequest) -> ServedRun:
    return ServedRun(
        run_spec=run.run_spec.SerializeToString(),
        source=request.source,
        created_by=request.created_by,
        trigger_name=request.trigger_name,
        base_dir=run.base_dir,
        raw_data_prefix=run.raw_data_prefix,
    )


def _rows(root: OpenAction, run_id: int) -> tuple[tuple[object, ...], tuple[object, ...]]:
    root.record = replace(root.record, run_id=run_id, action_id=action_id(run_id, 1))
    return root.record.row(), served_row(root)
