"""The records of one run while it goes on: made, met again, filled in, ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from secrets import token_hex

from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte._controller.failures import failure_of
from flyte._controller.local_run import LocalRunSpec, payload_path
from flyte._controller.progress import ActionFailure, RunProgress, TaskProgress
from flyte._controller.recall import Recall
from flyte._controller.threads import ThreadPool
from flyte._engine.attempts import Failure
from flyte._engine.replay import TryAgain
from flyte._faults import reach
from flyte._store.cache import CacheEntry, put_cache_entries
from flyte._store.journal import Journal
from flyte._store.payloads import INLINE_LIMIT_BYTES, load_payload, share, spill
from flyte._store.records import ActionKind, ActionRecord, ErrorRecord, action_id
from flyte._store.writer import Writer, end_run, in_order, record_actions
from flyte.errors import StoreError
from flyte.models import ActionPhase, GroupData
from flyte.types._offloading import offload

QUEUED = ActionPhase.QUEUED.to_protobuf_value()
RUNNING = ActionPhase.RUNNING.to_protobuf_value()
SUCCEEDED = ActionPhase.SUCCEEDED.to_protobuf_value()
RECOVERED = ActionPhase.RECOVERED.to_protobuf_value()
DONE = (SUCCEEDED, RECOVERED)
FAILED = ActionPhase.FAILED.to_protobuf_value()
TIMED_OUT = ActionPhase.TIMED_OUT.to_protobuf_value()


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

    def meet(self, name: str, parent_id: int, group: GroupData | None) -> ActionRecord | None:
        """The record that a call meets: done, or set to be tried again; None for a call never made before."""
        met = self.recall.meet(name)
        if met is None:
            return self._recover(name, parent_id, group)
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
                cache_status=0,
            )
            self.recall.keep(record)
        return record

    def _recover(self, name: str, parent_id: int, group: GroupData | None) -> ActionRecord | None:
        """The record of a call whose outcome comes from the run that this one recovers.

        Nobody has to wait for it: until it is committed, a resumed run finds it in the other run again.
        """
        source = self.recall.recoverable.get(name)
        if source is None:
            return None
        record = self.open(name, parent_id, source.task_name, group, source.kind)
        record.inputs, record.outputs = source.inputs, source.outputs
        # Files of its own, since the other run may be deleted.
        record.inputs_file = self._shared(record, source.inputs_file, "inputs")
        record.outputs_file = self._shared(record, source.outputs_file, "outputs")
        record.phase = RECOVERED
        record.ended_us = record.started_us
        self.recall.keep(record)
        self.journal.noted(record)
        return record

    def _shared(self, record: ActionRecord, file: str | None, stem: str) -> str | None:
        if file is None:
            return None
        path = payload_path(self._spec.name, record.name, f"{stem}-{token_hex(4)}.pb")
        return share(self._spec.home, file, path)

    def outputs_of(self, record: ActionRecord) -> Outputs:
        """The outputs of a record that is done."""
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
        record.error = _error_column(failure)
        self._progress.failed(ActionFailure(record.name, record.task_name, failure.code, failure.message))

    def try_again(self, record: ActionRecord, failure: Failure, attempt_no: int) -> None:
        """The running attempt has failed and attempt `attempt_no` will follow; the store keeps both."""
        record.phase, record.ended_us = FAILED if not failure.timed_out else TIMED_OUT, time.time_ns() // 1000
        record.error = _error_column(failure)
        self.journal.noted(record)
        record.phase, record.attempt_no = QUEUED, attempt_no
        record.started_us = record.ended_us = record.error = None
        self.journal.noted(record)

    def started(self, record: ActionRecord) -> None:
        """The attempt that `try_again` announced runs."""
        record.phase, record.started_us = RUNNING, time.time_ns() // 1000
        self.journal.started(record)

    async def lose(self, record: ActionRecord, error: StoreError) -> None:
        """The store did not take how `record` ended; it is recorded as failed, if the store takes that much."""
        record.reopen()
        self.fail(record, failure_of(error))
        record.phase, record.ended_us = FAILED, time.time_ns() // 1000
        with suppress(StoreError):
            await self._hand_over(record)

    def end(
        self,
        record: ActionRecord,
        phase: ActionPhase,
        progress: TaskProgress,
        entry: CacheEntry | None = None,
        *,
        has_waiting_caller: bool = False,
    ) -> Awaitable[object]:
        """The end is on its way to the store; what is returned waits for its commit.

        Of an aborted action it does not, unless its caller goes on.
        """
        self._note_end(record, phase, progress)
        if record.parent_id is None:
            reach("run.done")
        elif phase is ActionPhase.ABORTED and not has_waiting_caller:
            # Its caller is being cancelled and must not wait; the end of the run waits for this commit.
            self.journal.noted(record)
            return asyncio.sleep(0)
        return self._hand_over(record, entry)

    def end_blocking(self, record: ActionRecord, phase: ActionPhase, progress: TaskProgress) -> None:
        """The end is committed; for code that cannot await."""
        self._note_end(record, phase, progress)
        self.journal.ended_blocking(record)

    def _hand_over(self, record: ActionRecord, entry: CacheEntry | None = None) -> Awaitable[object]:
        if record.parent_id is None:
            return self._commit_end_of_run(record, entry)
        return self.journal.ended(record, entry)

    async def _commit_end_of_run(self, record: ActionRecord, entry: CacheEntry | None) -> None:
        end = in_order(record_actions([record.row()]), end_run(record.run_id, record.phase, record.ended_us or 0))
        try:
            await self.journal.commit(end if entry is None else in_order(put_cache_entries([entry]), end))
        except StoreError:
            record.reopen()
            raise

    def _note_end(self, record: ActionRecord, phase: ActionPhase, progress: TaskProgress) -> None:
        record.phase = phase.to_protobuf_value()
        record.ended_us = time.time_ns() // 1000
        progress.ended[phase] += 1

    async def _spill_inputs(self, record: ActionRecord, data: bytes) -> None:
        data = await self._offloaded(Inputs, data)
        if len(data) <= INLINE_LIMIT_BYTES:
            record.inputs = data
        else:
            record.inputs_file = await self._spill(record, "inputs", data)

    async def _spill_outputs(self, record: ActionRecord, data: bytes) -> None:
        data = await self._offloaded(Outputs, data)
        if len(data) <= INLINE_LIMIT_BYTES:
            record.outputs = data
        else:
            record.outputs_file = await self._spill(record, "outputs", data)

    async def _spill(self, record: ActionRecord, stem: str, data: bytes) -> str:
        # A name of its own: a process that no longer owns the run cannot write over what a record points to.
        path = payload_path(self._spec.name, record.name, f"{stem}-{token_hex(4)}.pb")
        result: str = await self._threads.run(partial(spill, self._spec.home, path, data))
        return result

    async def _offloaded(self, message: type[Inputs] | type[Outputs], data: bytes) -> bytes:
        """`data` with its large literals below a raw data path that somebody chose; otherwise they stay in the run."""
        if not self._spec.has_chosen_raw_data_path:
            return data
        small = await self._threads.run(partial(offload, message.FromString(data), self._spec.raw_data_path))
        serialized: bytes = small.SerializeToString(deterministic=True)
        return serialized


def _error_column(failure: Failure) -> str:
    return ErrorRecord(failure.code, failure.kind, failure.message, failure.worker, failure.traceback).to_json()
