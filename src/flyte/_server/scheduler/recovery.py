"""What a run takes over from an earlier one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flyteidl2.common.run_pb2 import RELATION_TYPE_RECOVER
from flyteidl2.task.run_pb2 import RunSpec

from flyte._engine.recovery import SourceAction, recoverable
from flyte._server.refusals import InvalidRequestError
from flyte._store.reader import StoreReader
from flyte._store.records import ActionRecord
from flyte._store.served import load_served_actions
from flyte.errors import RunNotFoundError
from flyte.models import ActionPhase


@dataclass(frozen=True, slots=True)
class Recovered:
    """An action of the earlier run whose outcome counts.

    Attributes:
        run_name: The earlier run.
        parent_name: Of the action that called it.
        output_uri: Where its outputs are.
    """

    run_name: str
    parent_name: str
    record: ActionRecord
    output_uri: str


async def load_recovered(home: Path, run_spec: RunSpec) -> Mapping[str, Recovered]:
    """What a run with that spec takes over, by action name; nothing unless it recovers another one.

    Raises:
        InvalidRequestError: the earlier run is gone, or was not served; an action that is forced is not in it.
    """
    if run_spec.relation.relation_type != RELATION_TYPE_RECOVER:
        return {}

    def load() -> Mapping[str, Recovered]:
        with StoreReader(home) as reader:
            return recovered_by(reader, run_spec)

    return await asyncio.to_thread(load)


def recovered_by(reader: StoreReader, run_spec: RunSpec) -> Mapping[str, Recovered]:
    """The same, as a reader of the store finds it.

    Raises:
        InvalidRequestError: likewise.
    """
    if run_spec.relation.relation_type != RELATION_TYPE_RECOVER:
        return {}
    run_name, forced = run_spec.relation.related_to.name, tuple(run_spec.recover.force_rerun_actions)
    try:
        run = reader.load_run(run_name)
    except RunNotFoundError:
        raise InvalidRequestError(f"there is no run {run_name!r} to recover.") from None
    records = reader.load_records(run)
    served = {each.action_id: each for each in reader.ask(lambda store: load_served_actions(store, run.run_id))}
    by_id = {record.action_id: record for record in records}
    unknown = set(forced) - {record.name for record in records}
    if unknown:
        raise InvalidRequestError(f"run {run_name!r} has no action {min(unknown)!r} that could be forced to run again.")
    if not served:
        raise InvalidRequestError(f"run {run_name!r} was not served by a control plane: it cannot be recovered by one.")
    parents = {record.name: by_id[record.parent_id].name if record.parent_id in by_id else None for record in records}
    names = recoverable(
        [
            SourceAction(each.name, parents[each.name], each.task_name, ActionPhase.from_protobuf(each.phase))
            for each in records
        ],
        forced,
    )
    return {
        record.name: Recovered(run_name, parents[record.name] or "", record, served[record.action_id].output_uri)
        for record in records
        if record.name in names and record.action_id in served
    }
