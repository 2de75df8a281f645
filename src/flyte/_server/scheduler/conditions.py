"""Conditions of served runs: actions that wait for a person."""

from __future__ import annotations

import asyncio
import json
import math
import time
from contextlib import suppress
from pathlib import Path

from flyteidl2.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl2.core.types_pb2 import SimpleType
from flyteidl2.task.common_pb2 import NamedLiteral, Outputs
from flyteidl2.workflow.run_definition_pb2 import CONDITION_PROMPT_TYPE_MARKDOWN, ConditionAction

from flyte._engine.attempts import Failure
from flyte._server.refusals import InvalidRequestError, NotNowError
from flyte._server.scheduler.commits import Commits
from flyte._server.scheduler.ending import Endings
from flyte._server.scheduler.states import OpenAction
from flyte._store.conditions import (
    AnswerWatch,
    OpenCondition,
    Question,
    answer_condition,
    condition_state,
    open_condition,
)
from flyte.models import ActionPhase

PAUSED = ActionPhase.PAUSED.to_protobuf_value()

_TYPES = {SimpleType.BOOLEAN: "bool", SimpleType.INTEGER: "int", SimpleType.FLOAT: "float", SimpleType.STRING: "str"}
_FIELDS = {"bool": "boolean", "int": "integer", "float": "float_value", "str": "string_value"}
_OUTPUT = "o0"


class Conditions:
    """Asks conditions, and hears of answers. Lives on the server's loop."""

    def __init__(self, home: Path, commits: Commits, endings: Endings) -> None:
        self._commits = commits
        self._endings = endings
        self._loop = asyncio.get_running_loop()
        # People answer through the store too, from processes that know nothing of this one.
        self._watch = AnswerWatch(home)
        self._asked: set[OpenAction] = set()
        self._timers: dict[OpenAction, asyncio.TimerHandle] = {}
        self._expiring: set[asyncio.Task[None]] = set()

    async def ask(self, action: OpenAction, *, goes_on: bool) -> None:
        """It is open. With `goes_on` one that was left open keeps its time limit, and an answer given meanwhile."""
        question = question_of(action.target.condition)
        action.record.phase = PAUSED
        action.record.started_us = action.record.started_us or time.time_ns() // 1000
        self._commits.record(action)
        state = await self._commits.change(open_condition(action.record.action_id, question, goes_on=goes_on))
        assert isinstance(state, OpenCondition)
        if not action.is_open:
            return
        if state.answer is not None:
            self._answered(action, state.answer)
            return

        def heard(answer: str) -> None:
            with suppress(RuntimeError):  # The server has ended meanwhile; the answer is in the store.
                self._loop.call_soon_threadsafe(self._answered, action, answer)

        self._asked.add(action)
        self._watch.listen(action.record.action_id, heard)
        if state.expires_us is not None:
            left_s = max(0.0, state.expires_us / 1e6 - time.time())
            self._timers[action] = self._loop.call_later(left_s, self._expire_soon, action)

    async def answer(self, action: OpenAction, value: Literal, signalled_by: str) -> None:
        """It has this answer.

        Raises:
            InvalidRequestError: it asks for another type.
            NotNowError: it has an answer, or has ended.
        """
        answer = _answer_of(action, value)
        given = await self._commits.change(answer_condition(action.record.action_id, answer))
        if not given or not action.is_open:
            raise NotNowError(f"condition {action.target.condition.name!r} of run {action.run.name!r} is not open.")
        action.signalled_by = signalled_by or None
        await asyncio.shield(self._answered(action, answer))

    def let_go(self, action: OpenAction) -> None:
        """Nobody is asked any more."""
        self._asked.discard(action)
        self._watch.let_go(action.record.action_id)
        timer = self._timers.pop(action, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """No answer is waited for."""
        for action in list(self._asked):
            self.let_go(action)
        for task in self._expiring:
            task.cancel()

    def _answered(self, action: OpenAction, answer: str) -> asyncio.Future[None]:
        self.let_go(action)
        if not action.is_open:
            ended: asyncio.Future[None] = self._loop.create_future()
            ended.set_result(None)
            return ended
        data_type = question_of(action.target.condition).data_type
        primitive = Primitive(**{_FIELDS[data_type]: json.loads(answer)})
        literal = Literal(scalar=Scalar(primitive=primitive))
        outputs = Outputs(literals=[NamedLiteral(name=_OUTPUT, value=literal)])
        return self._endings.succeed(action, outputs.SerializeToString(deterministic=True))

    def _expire_soon(self, action: OpenAction) -> None:
        task = self._loop.create_task(self._expire(action))
        self._expiring.add(task)
        task.add_done_callback(self._expiring.discard)

    async def _expire(self, action: OpenAction) -> None:
        state = await self._commits.change(condition_state(action.record.action_id))
        assert isinstance(state, OpenCondition)
        if not action.is_open:
            return
        if state.answer is not None:
            # In time, and not heard of yet.
            self._answered(action, state.answer)
            return
        self.let_go(action)
        question = question_of(action.target.condition)
        message = f"condition {question.name!r} was not answered within its timeout of {question.timeout_s:g} s."
        failure = Failure("ConditionTimedoutError", "user", message, timed_out=True, worker="user")
        self._endings.fail(action, ActionPhase.TIMED_OUT, failure)


def question_of(condition: ConditionAction) -> Question:
    """What a condition asks.

    Raises:
        InvalidRequestError: it has no name, asks for a type that nobody can type, or for a call of another server.
    """
    if condition.HasField("webhook"):
        raise InvalidRequestError(
            f"condition {condition.name!r} has a webhook, and this server calls no other: leave out `webhook=`; "
            "`flyte get condition` lists what waits for an answer."
        )
    data_type = _TYPES.get(condition.type.simple)
    if not condition.name or not condition.type.HasField("simple") or data_type is None:
        raise InvalidRequestError(
            f"condition {condition.name!r} asks for type {condition.type.simple}: expected a name, and boolean, "
            "integer, float or string."
        )
    is_markdown = condition.prompt_type == CONDITION_PROMPT_TYPE_MARKDOWN
    timeout = condition.timeout
    timeout_s = timeout.seconds + timeout.nanos / 1e9 if condition.HasField("timeout") else None
    return Question(
        name=condition.name,
        prompt=condition.prompt,
        prompt_type="markdown" if is_markdown else "text",
        data_type=data_type,
        description=condition.description,
        timeout_s=timeout_s or None,
    )


def _answer_of(action: OpenAction, value: Literal) -> str:
    """The answer as the store has it."""
    data_type = question_of(action.target.condition).data_type
    primitive = value.scalar.primitive
    field = _FIELDS[data_type]
    kind = primitive.WhichOneof("value")
    if data_type == "float" and kind == "integer":
        return json.dumps(float(primitive.integer))
    if kind != field or (kind == "float_value" and not math.isfinite(primitive.float_value)):
        raise InvalidRequestError(
            f"condition {action.target.condition.name!r} asks for {data_type}, and was answered with "
            f"{kind or 'no value'}."
        )
    return json.dumps(getattr(primitive, field))
