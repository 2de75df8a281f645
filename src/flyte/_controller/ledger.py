"""The records of one run while it goes on: made, met again, filled in, ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from functools import partial

from flyteidl2.task.common_pb2 import Outputs

from flyte._controller.local_run import LocalRunSpec, payload_path
from flyte._controller.progress import ActionFailure, RunProgress, TaskProgress
from flyte._controller.recall import Recall
from flyte._controller.threads import ThreadPool
from flyte._engine.attempts import Failure
from flyte._engine.replay import TryAgain
from flyte._store.cache import CacheEntry, put_cache_entries
from flyte._store.journal import Journal
from flyte._store.payloads import INLINE_LIMIT_BYTES, load_payload, spill
from flyte._store.records import ActionKind, ActionRecord, ErrorRecord, action_id
from flyte._store.writer import Writer, end_run, in_order, record_actions
from flyte.models import ActionPhase, GroupData

RUNNING = ActionPhase.RUNNING.to_protobuf_value()
SUCCEEDED = ActionPhase.SUCCEEDED.to_protobuf_value()


class Ledger:
    """Keeps the records of one run. Lives on the engine's loop.

    Attributes:
        journal: What takes them to the store.
        recall: What calls may meet again.
    """

    def __init__(
        self,
        spec: LocalRunSpec,
        writer: Writer,
        loop: asyncio.AbstractEventLoop,
        threads: ThreadPool,
        progress: RunProgress,
        recall: Recall,
    ) -> None:
        self.journal = Journal(writer, loop, spec.run_id, spec.owner)
        self.recall = recall
        self._spec = spec
        self._threads = threads
        self._progress = progress
        # The root action has number 1 and was recorded with the run.
        self._last_sequence_no = max(1, recall.last_sequence_no)

    def open(
        self, name: str, parent_id: int, task_name: str, group: GroupData | None, kind: int = ActionKind.TASK
    ) -> ActionRecord:
        """The record of a call that was never made before."""
        self._last_sequence_no += 1
        now_us = time.time_ns() // 1000
        return ActionRecord(
            action_id=action_id(self._spec.run_id, self._last_sequence_no),
            run_id=self._spec.run_id,
            name=name,
            parent_id=parent_id,
            kind=kind,
            task_name=task_name,
            group_name=group.name if group else None,
            phase=RUNNING,
            attempt_no=1,
            created_us=now_us,
            started_us=now_us,
        )

    def meet(self, name: str) -> ActionRecord | None:
        """The record that a call meets: succeeded, or set to be tried again; None for a call never made before."""
        met = self.recall.meet(name)
        if met is None:
            return None
        record, decision = met
        if isinstance(decision, TryAgain):
            # A copy: what is left of the earlier attempt may still write to its own record, and is refused.
            record = replace(
                record,
                attempt_no=decision.attempt_no,
                phase=RUNNING,
                started_us=time.time_ns() // 1000,
                ended_us=None,
                error=None,
            )
            self.recall.keep(record)
        return record

    def outputs_of(self, record: ActionRecord) -> Outputs:
        """The outputs of a succeeded record."""
        return Outputs.FromString(load_payload(self._spec.home, record.outputs, record.outputs_file) or b"")

    def put_inputs(self, record: ActionRecord, data: bytes) -> Awaitable[None] | None:
        """`data` is the record's inputs; what is returned, if anything, is to be awaited first."""
        if len(data) <= INLINE_LIMIT_BYTES:
            record.inputs = data
            return None
        return self._spill_inputs(record, data)

    def put_outputs(self, record: ActionRecord, data: bytes) -> Awaitable[None] | None:
        """`data` is the record's outputs; what is returned, if anything, is to be awaited first."""
        if len(data) <= INLINE_LIMIT_BYTES:
            record.outputs = data
            return None
        return self._spill_outputs(record, data)

    def fail(self, record: ActionRecord, failure: Failure) -> None:
        """`failure` is why the record ends without outputs."""
        record.error = ErrorRecord(
            failure.code, failure.kind, failure.message, failure.worker, failure.traceback
        ).to_json()
        self._progress.failed(ActionFailure(record.name, record.task_name, failure.code, failure.message))

    def end(
        self, record: ActionRecord, phase: ActionPhase, progress: TaskProgress, entry: CacheEntry | None = None
    ) -> Awaitable[object]:
        """The end is on its way to the store; what is returned waits for its commit."""
        self._note_end(record, phase, progress)
        if record.parent_id is None:
            end = in_order(record_actions([record.row()]), end_run(record.run_id, record.phase, record.ended_us or 0))
            return self.journal.commit(end if entry is None else in_order(put_cache_entries([entry]), end))
        if phase is ActionPhase.ABORTED:
            # Its caller is being cancelled and must not wait; the end of the run waits for this commit.
            self.journal.noted(record)
            return asyncio.sleep(0)
        return self.journal.ended(record, entry)

    def end_blocking(self, record: ActionRecord, phase: ActionPhase, progress: TaskProgress) -> None:
        """The end is committed; for code that cannot await."""
        self._note_end(record, phase, progress)
        self.journal.ended_blocking(record)

    def _note_end(self, record: ActionRecord, phase: ActionPhase, progress: TaskProgress) -> None:
        record.phase = phase.to_protobuf_value()
        record.ended_us = time.time_ns() // 1000
        progress.ended[phase] += 1

    async def _spill_inputs(self, record: ActionRecord, data: bytes) -> None:
        record.inputs_file = await self._spill(record, "inputs.pb", data)

    async def _spill_outputs(self, record: ActionRecord, data: bytes) -> None:
        record.outputs_file = await self._spill(record, "outputs.pb", data)

    async def _spill(self, record: ActionRecord, file_name: str, data: bytes) -> str:
        path = payload_path(self._spec.name, record.name, file_name)
        result: str = await self._threads.run(partial(spill, self._spec.home, path, data))
        return result
