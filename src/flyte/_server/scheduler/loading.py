"""The open runs as a server that starts finds them in the store."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from flyteidl2.task.run_pb2 import RunSpec
from flyteidl2.workflow.run_definition_pb2 import ActionSpec

from flyte._server.refusals import InvalidRequestError
from flyte._server.scheduler.recovery import recovered_by
from flyte._server.scheduler.rules import KnownSpec, KnownSpecs
from flyte._server.scheduler.states import OpenAction, OpenRun
from flyte._store.owners import this_process
from flyte._store.reader import StoreReader
from flyte._store.records import LEASE_US, ActionRecord, StoredRun
from flyte._store.served import (
    EXTERNAL,
    ServedAction,
    load_served_actions,
    load_served_run,
    load_spec,
    open_served_runs,
)
from flyte._store.writer import Change, claim_run


def load_open_runs(home: Path, specs: KnownSpecs) -> list[tuple[OpenRun, Change]]:
    """The served runs that are not over, each with the change by which this process owns it."""
    with StoreReader(home) as reader:
        return [_load(reader, specs, reader.load_run(name)) for name in reader.ask(open_served_runs)]


def _load(reader: StoreReader, specs: KnownSpecs, stored: StoredRun) -> tuple[OpenRun, Change]:
    served = reader.ask(lambda store: load_served_run(store, stored.run_id))
    assert served is not None
    run = OpenRun(
        run_id=stored.run_id,
        name=stored.name,
        org=stored.org or "",
        project=stored.project or "",
        domain=stored.domain or "",
        run_spec=RunSpec.FromString(served.run_spec),
        base_dir=served.base_dir,
        raw_data_prefix=served.raw_data_prefix,
        started_us=int(stored.settings["started_us"]),
        is_external=stored.mode == EXTERNAL,
        created_by=served.created_by,
    )
    with suppress(InvalidRequestError):  # It may be deleted meanwhile: then what is called from now on runs.
        run.recovered = recovered_by(reader, run.run_spec)
    records = reader.load_records(stored)
    kept = {each.action_id: each for each in reader.ask(lambda store: load_served_actions(store, stored.run_id))}
    by_id: dict[int, OpenAction] = {}
    for record in sorted(records, key=lambda record: record.action_id):
        action = _action(reader, specs, run, record, kept[record.action_id], by_id)
        by_id[record.action_id] = action
        run.actions[action.name] = action
        run.last_sequence_no = max(run.last_sequence_no, record.sequence_no)
    return run, claim_run(stored, this_process(), time.time_ns() // 1000 + LEASE_US)


def _action(
    reader: StoreReader,
    specs: KnownSpecs,
    run: OpenRun,
    record: ActionRecord,
    kept: ServedAction,
    by_id: dict[int, OpenAction],
) -> OpenAction:
    target = ActionSpec.FromString(kept.target)
    parent = by_id.get(record.parent_id) if record.parent_id is not None else None
    action = OpenAction(
        run=run,
        record=record,
        target=target,
        known=_known(reader, specs, kept.spec_digest),
        parent=parent,
        output_uri=kept.output_uri,
        called_us=record.created_us,
        called_in=kept.called_in,
        tries=kept.tries,
        due_us=kept.due_us,
        recovered_from=kept.recovered_from,
        abort_reason=kept.abort_reason,
        aborted_by=kept.aborted_by,
        signalled_by=kept.signalled_by,
        is_stored=True,
        cache_key=kept.cache_key,
    )
    if parent is not None:
        parent.children[action.name] = action
        if action.is_open:
            action.counts_for_parent = True
            parent.open_children += 1
    return action


def _known(reader: StoreReader, specs: KnownSpecs, digest: bytes | None) -> KnownSpec | None:
    if digest is None:
        return None
    data = reader.ask(lambda store: load_spec(store, digest))
    assert data is not None
    return specs.of_bytes(digest, data)
