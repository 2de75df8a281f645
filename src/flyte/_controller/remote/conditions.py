"""Conditions of attempts under a control plane, which asks people and tells their answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyteidl2.actions.actions_service_pb2 import Action
from flyteidl2.common.phase_pb2 import ActionPhase as PhaseMessage
from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import BOOLEAN, FLOAT, INTEGER, STRING, LiteralType
from flyteidl2.workflow.run_definition_pb2 import (
    CONDITION_PROMPT_TYPE_MARKDOWN,
    CONDITION_PROMPT_TYPE_TEXT,
    ConditionAction,
)
from flyteidl2.workflow.state_service_pb2 import ActionUpdate
from google.protobuf.duration_pb2 import Duration

from flyte._context import ActionScope
from flyte._controller.remote.attempts import RemoteAttempt
from flyte._controller.remote.failures import error_of_update
from flyte._controller.remote.outcomes import DONE
from flyte._store.conditions import Question
from flyte.errors import (
    ActionAbortedError,
    ConditionFailedError,
    ConditionTimedoutError,
    RuntimeSystemError,
    TraceDoesNotAllowNestedTasksError,
)

if TYPE_CHECKING:
    from flyte._controller.remote.controller import RemoteController

_SIMPLE = {"bool": BOOLEAN, "int": INTEGER, "float": FLOAT, "str": STRING}
_PROMPTS = {"text": CONDITION_PROMPT_TYPE_TEXT, "markdown": CONDITION_PROMPT_TYPE_MARKDOWN}
_PRIMITIVES = {"bool": "boolean", "int": "integer", "float": "float_value", "str": "string_value"}


@dataclass(slots=True, eq=False)
class _Asked:
    """A condition that was asked; what waits for its end lives on the controller's loop."""

    controller: RemoteController
    question: Question
    waiter: asyncio.Task[ActionUpdate]

    async def answer(self) -> Any:
        """The answer, once somebody gave it; awaited as often as you like."""
        return await self.controller.loop.run_from_loop(self._answer())

    async def _answer(self) -> Any:
        try:
            # Giving up one wait leaves the question open: it is that of the task, not of the wait.
            update = await asyncio.shield(self.waiter)
        except asyncio.CancelledError:
            if not self.waiter.cancelled():
                raise
            raise ActionAbortedError("the condition is over: the task that asked it has ended.") from None
        return _answer_of(update, self.question)


class RemoteConditions:
    """Asks the conditions of one process."""

    def __init__(self, controller: RemoteController) -> None:
        self._controller = controller

    async def ask(self, scope: ActionScope, question: Question) -> _Asked:
        """`question` is with the control plane, where anybody can answer it until the attempt of `scope` is over."""
        attempt = _allowed(scope, question)
        if not self._controller.uses_actions:
            raise RuntimeSystemError(
                "ConditionsNotOffered",
                f"condition {question.name!r} cannot be asked: the control plane is to be asked by QueueService "
                "(_U_USE_ACTIONS is not set), which has no conditions.",
            )
        controller = self._controller
        name = controller.child_name(scope, question.name, question.name)
        action = controller.action(scope, attempt.place, name)
        action.condition.CopyFrom(_message(question))
        return await controller.loop.run_from_loop(self._ask(attempt, action, question))

    async def _ask(self, attempt: RemoteAttempt, action: Action, question: Question) -> _Asked:
        link = self._controller.link()
        children = link.children_of(attempt.place.action)
        update = await children.take(action.action_id.name)
        loop = asyncio.get_running_loop()
        if update is not None:
            waiter = loop.create_task(_known(update))
        else:
            asked = loop.create_future()
            waiter = loop.create_task(link.run(action, children, asked))
            await asyncio.wait([waiter, asked], return_when=asyncio.FIRST_COMPLETED)
            if waiter.done():
                waiter.result()
        waiter.add_done_callback(_heard)
        return _Asked(self._controller, question, waiter)


async def _known(update: ActionUpdate) -> ActionUpdate:
    return update


def _heard(waiter: asyncio.Task[ActionUpdate]) -> None:
    """An error of a condition that nobody waits for is no news."""
    if not waiter.cancelled():
        waiter.exception()


def _message(question: Question) -> ConditionAction:
    message = ConditionAction(
        name=question.name,
        type=LiteralType(simple=_SIMPLE[question.data_type]),
        prompt=question.prompt,
        description=question.description,
        prompt_type=_PROMPTS[question.prompt_type],
    )
    if question.timeout_s is not None:
        microseconds = round(question.timeout_s * 1_000_000)
        message.timeout.CopyFrom(Duration(seconds=microseconds // 1_000_000, nanos=microseconds % 1_000_000 * 1000))
    return message


def _answer_of(update: ActionUpdate, question: Question) -> Any:
    what = f"condition {question.name!r}"
    if update.phase in DONE:
        return _value(update.value, question)
    if update.phase == PhaseMessage.ACTION_PHASE_TIMED_OUT:
        raise ConditionTimedoutError(
            f"nobody answered {what} ({question.prompt}) within {question.timeout_s or 0:g} s: action "
            f"{update.action_id.name} of run {update.action_id.run.name}."
        )
    error = error_of_update(update, what)
    if isinstance(error, ActionAbortedError):
        raise error
    raise ConditionFailedError(f"{what} failed: {error or 'the control plane does not say why.'}")


def _value(literal: Literal, question: Question) -> Any:
    primitive = literal.scalar.primitive
    given, expected = primitive.WhichOneof("value"), _PRIMITIVES[question.data_type]
    if given != expected:
        raise ConditionFailedError(
            f"condition {question.name!r} asks for {question.data_type}, and was answered with {given or 'nothing'}."
        )
    return getattr(primitive, expected)


def _allowed(scope: ActionScope, question: Question) -> RemoteAttempt:
    attempt: RemoteAttempt = scope.attempt
    if attempt.trace_of is not None:
        raise TraceDoesNotAllowNestedTasksError(
            f"condition {question.name!r} was asked inside the trace {attempt.trace_of!r}: a trace records one "
            "function as a whole. Ask it in the task around it."
        )
    if attempt.is_over:
        raise ActionAbortedError(
            f"condition {question.name!r} was asked by action {scope.action_name!r}, which is over."
        )
    return attempt
