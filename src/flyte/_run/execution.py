"""Carrying out a run on the engine's loop while a thread or another loop waits for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent import futures
from contextlib import suppress
from functools import partial
from typing import Any

from flyte._controller.local import LocalController
from flyte._controller.local_run import LocalRunSpec, run_folder
from flyte._controller.progress import RunProgress
from flyte._controller.recall import Recall
from flyte._engine.names import ROOT_ACTION
from flyte._run.engine import engine
from flyte._run.local import LocalRun
from flyte._store.aborts import AbortRequest, aborted_error
from flyte._store.database import store_errors
from flyte._store.owners import this_process
from flyte._store.records import ActionRecord
from flyte._store.writer import Writer, abort_run, in_order, require_owner
from flyte.errors import BaseRuntimeError, RunAbortedError, StoreError
from flyte.syncify import syncify
from flyte.syncify._background import LISTENS_EVERY_S

ABORT_GRACE_S = 2.0
"""How long an abort waits for the actions to record their abort before the run is recorded as aborted without them."""


class Execution:
    """One run from its start to its outcome.

    Args:
        start: Awaited on the engine's loop; carries out the run, by `carry_out`.
    """

    def __init__(self, start: Callable[[Execution], Awaitable[LocalRun]]) -> None:
        self._start = start
        self._writer: Writer | None = None
        self._run_id: int | None = None
        self._loop_task: asyncio.Task[Any] | None = None
        self._is_over = threading.Event()
        self._is_cancelled = False
        self._given_up: futures.Future[LocalRun] = futures.Future()

    def wait(self) -> LocalRun:
        """The run, once it is over; Ctrl-C aborts it.

        Raises:
            AssertionError: called on the engine's own loop, which would wait for itself.
            BaseRuntimeError: the run failed.
        """
        loop = engine().loop
        if _running_loop() is loop:
            raise AssertionError(
                "this would wait for the loop it is called on: inside an async task, `await flyte.run.aio(...)` or "
                "call the task itself."
            )
        try:
            outcome = asyncio.run_coroutine_threadsafe(self._run(), loop)
            either = [outcome, self._given_up]
            # A signal that comes as this thread begins to wait is not heard before it wakes.
            while not futures.wait(either, LISTENS_EVERY_S, futures.FIRST_COMPLETED).done:
                pass
            return (outcome if outcome.done() else self._given_up).result()
        except KeyboardInterrupt:
            self._abort(loop)
            raise
        except BaseRuntimeError as error:
            raise _with_note(error) from None

    async def wait_async(self) -> LocalRun:
        """The same on any event loop; cancelling it aborts the run."""
        try:
            return await syncify.run_from_loop(self._run())
        except BaseRuntimeError as error:
            raise _with_note(error) from None

    async def carry_out(
        self,
        task: Any,
        inputs: Any,
        spec: LocalRunSpec,
        root: ActionRecord,
        writer: Writer,
        progress: RunProgress,
        recall: Recall,
        env_vars: Mapping[str, str],
    ) -> LocalRun:
        """Runs the root task of a run that this process owns."""
        shared = engine()
        self._writer, self._run_id = writer, spec.run_id
        progress.run_name = spec.name
        leases = shared.leases(writer)
        leases.keep(spec.run_id)
        try:
            folder = run_folder(spec.home, spec.name)
            with store_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
            controller = LocalController(spec, writer, shared.threads, progress, env_vars, recall)
            shared.aborts(writer).listen(spec.run_id, partial(self._hear, controller))
            outputs = await controller.run_root(task, inputs, root)
        finally:
            shared.aborts(writer).let_go(spec.run_id)
            if root.ended_us is None:
                leases.give_up(spec.run_id)
            else:
                leases.let_go(spec.run_id)
        return LocalRun(spec.name, spec.home, task.interface, task.codec, inputs, outputs)

    async def _run(self) -> LocalRun:
        self._loop_task = asyncio.current_task()
        try:
            if self._is_cancelled:
                raise asyncio.CancelledError
            return await self._start(self)
        finally:
            self._is_over.set()

    def _cancel(self) -> None:
        # An interrupt may come before the first step of the run.
        self._is_cancelled = True
        if self._loop_task is not None:
            self._loop_task.cancel()

    def _hear(self, controller: LocalController, request: AbortRequest) -> None:
        engine().loop.call_soon_threadsafe(controller.abort, request.action_name, request.reason)
        if request.action_name == ROOT_ACTION:
            threading.Thread(target=self._end_stuck, args=(request,), name="flyte-abort", daemon=True).start()

    def _end_stuck(self, request: AbortRequest) -> None:
        """Records the abort of a run whose code does not let go of the loop; who waits for the run goes on."""
        if self._is_over.wait(ABORT_GRACE_S) or self._writer is None:
            return
        error = RunAbortedError(f"the run was aborted: {request.reason}")
        abort = abort_run(request.run_id, time.time_ns() // 1000, aborted_error(error))
        with suppress(StoreError):
            self._writer.write(in_order(require_owner(request.run_id, this_process()), abort))
            self._given_up.set_exception(error)

    def _abort(self, loop: asyncio.AbstractEventLoop) -> None:
        """The run is recorded as aborted, by its own actions or, where they do not let go of the loop, without them."""
        loop.call_soon_threadsafe(self._cancel)
        if self._is_over.wait(ABORT_GRACE_S):
            return
        if self._writer is not None and self._run_id is not None:
            abort = abort_run(self._run_id, time.time_ns() // 1000)
            self._writer.write(in_order(require_owner(self._run_id, this_process()), abort))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _with_note(error: BaseRuntimeError) -> BaseRuntimeError:
    """`error` prints the traceback of where it came from, once, and none of the frames it crossed."""
    if error.remote_traceback and not getattr(error, "__notes__", None):
        error.add_note(f"\nThe task's own traceback:\n{error.remote_traceback.rstrip()}")
    return error.with_traceback(None)
