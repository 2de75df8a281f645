"""Conditions: actions that wait for a person."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from flyte._context import ActionScope
from flyte._controller.calls import Attempt
from flyte._controller.failures import failure_of
from flyte._controller.ledger import DONE, Ledger
from flyte._controller.local_run import LocalRunSpec
from flyte._controller.progress import TaskProgress
from flyte._engine.answers import EXPECTED
from flyte._engine.names import condition_name
from flyte._store.conditions import AnswerWatch, OpenCondition, Question, condition_state, open_condition
from flyte._store.records import ActionKind, ActionRecord
from flyte.errors import ActionAbortedError, ConditionTimedoutError, TraceDoesNotAllowNestedTasksError
from flyte.models import ActionPhase, NativeInterface
from flyte.types._codec import InterfaceCodec

PAUSED = ActionPhase.PAUSED.to_protobuf_value()
_TYPES: dict[str, type] = {each.__name__: each for each in (bool, int, float, str)}


class Asked(Protocol):
    """A condition that was asked."""

    async def answer(self) -> Any:
        """The answer, once somebody gave it; awaited as often as you like."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """The answer is in the record."""

    value: Any

    async def answer(self) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Somebody is to answer; what waits for that gives a value or an error."""

    waiter: asyncio.Task[tuple[Any, Exception | None]]

    async def answer(self) -> Any:
        try:
            # Giving up one wait leaves the question open: it is that of the task, not of the wait.
            value, error = await asyncio.shield(self.waiter)
        except asyncio.CancelledError:
            if not self.waiter.cancelled():
                raise
            raise ActionAbortedError("the condition is over: the task that asked it has ended.") from None
        if error is not None:
            raise error
        return value


@dataclass(frozen=True, slots=True)
class _Opened:
    """A condition that is open."""

    question: Question
    record: ActionRecord
    progress: TaskProgress
    codec: InterfaceCodec
    state: OpenCondition


class Conditions:
    """Asks the conditions of one run. Lives on the engine's loop."""

    def __init__(self, ledger: Ledger, spec: LocalRunSpec) -> None:
        self._ledger = ledger
        self._spec = spec
        self._watch = AnswerWatch(spec.home)

    async def ask(self, scope: ActionScope, question: Question) -> Asked:
        """`question` is in the store, where anybody can answer it until the attempt of `scope` is over."""
        parent: Attempt = scope.attempt
        _refuse(scope, parent, question)
        ledger, group = self._ledger, scope.group
        name = condition_name(scope.action_name, question.name, scope.call_counts)
        progress = parent.progress.child(question.name)
        codec = _codec(question)
        met = ledger.recall.meet(name) if parent.may_replay else None
        was_left_open = met is not None and not ActionPhase.from_protobuf(met[0].phase).is_terminal
        record = ledger.meet(name, parent.record.action_id, group) if parent.may_replay else None
        if record is not None and record.phase in DONE:
            progress.replayed()
            return _Answered(codec.decode_outputs(ledger.outputs_of(record)))
        if record is None:
            record = ledger.open(name, parent.record.action_id, question.name, group, ActionKind.CONDITION)
            if parent.may_replay:
                ledger.recall.keep(record)
                if ledger.recall.is_resumed:
                    parent.new_calls.append(record)
        record.phase = PAUSED
        progress.started += 1
        ledger.journal.noted(record)
        state = await ledger.journal.commit(open_condition(record.action_id, question, goes_on=was_left_open))
        assert isinstance(state, OpenCondition)
        opened = _Opened(question, record, progress, codec, state)
        if state.answer is None:
            self._say(opened)
        # Among what the attempt leaves behind when it ends: nobody can answer it after that.
        waiter = asyncio.get_running_loop().create_task(self._wait(opened), context=copy_context())
        parent.others.add(waiter)
        waiter.add_done_callback(parent.others.discard)
        return _Waiting(waiter)

    async def _wait(self, opened: _Opened) -> tuple[Any, Exception | None]:
        ledger, record = self._ledger, opened.record
        try:
            answer = opened.state.answer or await self._answer(opened)
            if answer is None:
                error = self._timed_out(opened)
                ledger.fail(record, failure_of(error))
                await ledger.end(record, ActionPhase.TIMED_OUT, opened.progress)
                return None, error
            value = json.loads(answer)
            data = opened.codec.encode_outputs(value).SerializeToString(deterministic=True)
            if (spilled := ledger.put_outputs(record, data)) is not None:
                await spilled
            await ledger.end(record, ActionPhase.SUCCEEDED, opened.progress)
            return value, None
        except asyncio.CancelledError:
            if record.ended_us is None:
                await ledger.end(record, ActionPhase.ABORTED, opened.progress)
            raise
        except Exception as error:
            return None, error

    async def _answer(self, opened: _Opened) -> str | None:
        """JSON of the answer; None when the time is over."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[str] = loop.create_future()
        action_id = opened.record.action_id
        self._watch.listen(action_id, partial(_settle_on, loop, heard))
        try:
            async with asyncio.timeout(_rest_s(opened.state)):
                return await heard
        except TimeoutError:
            # It may have been answered since the last look.
            state = await self._ledger.journal.commit(condition_state(action_id))
            assert isinstance(state, OpenCondition)
            return state.answer
        finally:
            self._watch.let_go(action_id)

    def _say(self, opened: _Opened) -> None:
        question = opened.question
        value, more = ("true", "   (or false)") if question.data_type == "bool" else ("VALUE", "")
        print(
            f"Run {self._spec.name} waits for an answer, {EXPECTED[question.data_type]}: {question.prompt}\n"
            f"  flyte signal condition {self._spec.name} {opened.record.name} {value}{more}",
            file=sys.stderr,
            flush=True,
        )

    def _timed_out(self, opened: _Opened) -> ConditionTimedoutError:
        question = opened.question
        return ConditionTimedoutError(
            f"nobody answered condition {question.name!r} ({question.prompt}) within {question.timeout_s:g} s: action "
            f"{opened.record.name} of run {self._spec.name}."
        )


def _refuse(scope: ActionScope, parent: Attempt, question: Question) -> None:
    if parent.trace_of is not None:
        raise TraceDoesNotAllowNestedTasksError(
            f"condition {question.name!r} was asked inside the trace {parent.record.task_name!r}: a trace records one "
            "function as a whole. Ask it in the task around it."
        )
    if parent.is_over:
        raise ActionAbortedError(
            f"condition {question.name!r} was asked by action {scope.action_name!r}, which is over."
        )


def _codec(question: Question) -> InterfaceCodec:
    answer_type = _TYPES[question.data_type]
    return InterfaceCodec(NativeInterface({}, {"o0": answer_type}), question.name, answer_type)


def _rest_s(state: OpenCondition) -> float | None:
    if state.expires_us is None:
        return None
    return max(0.0, state.expires_us / 1_000_000 - time.time())


def _settle_on(loop: asyncio.AbstractEventLoop, future: asyncio.Future[str], answer: str) -> None:
    loop.call_soon_threadsafe(_settle, future, answer)


def _settle(future: asyncio.Future[str], answer: str) -> None:
    if not future.done():
        future.set_result(answer)
