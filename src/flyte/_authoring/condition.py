"""`flyte.new_condition`: a task asks a person, and waits for the answer."""

from __future__ import annotations

import math
import re
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Literal, TypeVar, overload

from flyte._authoring.expectations import expect
from flyte._context import ActionScope, current_scope
from flyte._store.conditions import Question
from flyte.syncify import syncify

AnswerT = TypeVar("AnswerT", bound=bool | int | float | str)

_TYPES = (bool, int, float, str)
_PROMPT_TYPES = ("text", "markdown")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_NAME_MAX_LENGTH = 63


@dataclass(frozen=True)
class ConditionWebhook:
    """Where to tell that a condition is open.

    Attributes:
        url: Gets a POST.
        payload: Its JSON; `{callback_uri}` in its texts becomes the address to answer at.
    """

    url: str
    payload: Mapping[str, Any] | None = None


class Wait(Generic[AnswerT]):
    """`Condition.wait`: callable, and awaitable as `.aio`."""

    def __init__(self, name: str, asked: Any) -> None:
        self._name = name
        self._asked = asked

    def __call__(self) -> AnswerT:
        """The answer, once somebody gave it. Every wait for one condition gives the same.

        Raises:
            ConditionTimedoutError: nobody answered in time.
            RuntimeError: the condition was made outside a task.
        """
        return syncify.run_blocking(self._answer())

    async def aio(self) -> AnswerT:
        """The same for async code. Giving up the wait leaves the question open."""
        return await syncify.run_from_loop(self._answer())

    async def _answer(self) -> AnswerT:
        if self._asked is None:
            raise RuntimeError(
                f"condition {self._name!r} was made outside a task, where no run is recorded that somebody could "
                "answer. Make it and wait for it inside a task that `flyte.run` runs."
            )
        answer: AnswerT = await self._asked.answer()
        return answer


class Condition(Generic[AnswerT]):
    """A question to a person; `flyte.new_condition` makes it.

    Attributes:
        name: As given.
        wait: Gives the answer.
    """

    def __init__(self, name: str, asked: Any) -> None:
        self.name = name
        self.wait: Wait[AnswerT] = Wait(name, asked)

    def __repr__(self) -> str:
        return f"Condition(name={self.name!r})"


class NewConditionCall:
    """`flyte.new_condition`: callable, and awaitable as `.aio`."""

    @overload
    def __call__(
        self,
        name: str,
        /,
        prompt: str = "Approve?",
        prompt_type: Literal["text", "markdown"] = "text",
        *,
        description: str = "",
        timeout: timedelta | float | None = None,
        webhook: ConditionWebhook | None = None,
    ) -> Condition[bool]: ...

    @overload
    def __call__(
        self,
        name: str,
        /,
        prompt: str = "Approve?",
        prompt_type: Literal["text", "markdown"] = "text",
        data_type: type[AnswerT] = ...,
        description: str = "",
        timeout: timedelta | float | None = None,
        webhook: ConditionWebhook | None = None,
    ) -> Condition[AnswerT]: ...

    def __call__(
        self,
        name: str,
        /,
        prompt: str = "Approve?",
        prompt_type: Literal["text", "markdown"] = "text",
        data_type: type[Any] = bool,
        description: str = "",
        timeout: timedelta | float | None = None,
        webhook: ConditionWebhook | None = None,
    ) -> Condition[Any]:
        """A question that is open from now on: anybody can answer it with `flyte signal condition`.

        It is an action of the run, in phase `paused`. It survives the process: a resumed run gets an answer that was
        given before or meanwhile, and else goes on waiting. It is over, answered or not, when its task is.

        ```py
        approval = await flyte.new_condition.aio("deploy", "Deploy this model?", timeout=3600)
        if await approval.wait.aio():
            await deploy(model)
        ```

        Args:
            name: Part of the name of the action: letters, digits, '.', '_' and '-'.
            prompt: The question.
            prompt_type: How the question is written.
            data_type: Type of the answer: `bool`, `int`, `float` or `str`.
            description: More about it.
            timeout: How long it stays open, a number in seconds; None for as long as the task waits. The time during
                which no process runs counts.
            webhook: Needs a control plane that can be called back; not available yet.

        Raises:
            TypeError: the data type is another one, or an argument is of the wrong type.
            ValueError: the name cannot be part of an action's, the timeout is not positive, or there is a webhook.
            AssertionError: called on the event loop of a task, which it would block; `.aio` is the form to use.
        """
        question = _question(name, prompt, prompt_type, data_type, description, timeout, webhook)
        return syncify.run_blocking(_ask(current_scope(), question))

    @overload
    def aio(
        self,
        name: str,
        /,
        prompt: str = "Approve?",
        prompt_type: Literal["text", "markdown"] = "text",
        *,
        description: str = "",
        timeout: timedelta | float | None = None,
        webhook: ConditionWebhook | None = None,
    ) -> Coroutine[Any, Any, Condition[bool]]: ...

    @overload
    def aio(
        self,
        name: str,
        /,
        prompt: str = "Approve?",
        prompt_type: Literal["text", "markdown"] = "text",
        data_type: type[AnswerT] = ...,
        description: str = "",
        timeout: timedelta | float | None = None,
        webhook: ConditionWebhook | None = None,
    ) -> Coroutine[Any, Any, Condition[AnswerT]]: ...

    async def aio(
        self,
        name: str,
        /,
        prompt: str = "Approve?",
        prompt_type: Literal["text", "markdown"] = "text",
        data_type: type[Any] = bool,
        description: str = "",
        timeout: timedelta | float | None = None,
        webhook: ConditionWebhook | None = None,
    ) -> Condition[Any]:
        """The same for async code."""
        question = _question(name, prompt, prompt_type, data_type, description, timeout, webhook)
        return await syncify.run_from_loop(_ask(current_scope(), question))


new_condition = NewConditionCall()


async def _ask(scope: ActionScope | None, question: Question) -> Condition[Any]:
    asked = None if scope is None else await scope.controller.conditions.ask(scope, question)
    return Condition(question.name, asked)


def _question(
    name: str,
    prompt: str,
    prompt_type: str,
    data_type: type[Any],
    description: str,
    timeout: timedelta | float | None,
    webhook: ConditionWebhook | None,
) -> Question:
    for what, text in (("name", name), ("prompt", prompt), ("description", description)):
        expect(isinstance(text, str), f"the {what} of a condition", "a str", text)
    if len(name) > _NAME_MAX_LENGTH or not _NAME.fullmatch(name):
        raise ValueError(
            f"condition name {name!r} cannot be part of an action's name: use 1 to {_NAME_MAX_LENGTH} letters, digits, "
            "'.', '_' and '-', starting and ending with a letter or a digit."
        )
    if prompt_type not in _PROMPT_TYPES:
        raise ValueError(f"condition {name!r}: prompt_type must be 'text' or 'markdown', got {prompt_type!r}")
    expect(data_type in _TYPES, f"data_type of condition {name!r}", "bool, int, float or str", data_type)
    if webhook is not None:
        raise ValueError(
            f"condition {name!r}: webhook needs a control plane that can be called back, and this release has none. "
            "Leave it out, and answer with `flyte signal condition`."
        )
    return Question(name, prompt, prompt_type, data_type.__name__, description, _timeout_s(name, timeout))


def _timeout_s(name: str, timeout: timedelta | float | None) -> float | None:
    if timeout is None:
        return None
    is_time = isinstance(timeout, timedelta | int | float) and not isinstance(timeout, bool)
    expect(is_time, f"timeout of condition {name!r}", "a timedelta or a number of seconds", timeout)
    timeout_s = timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)
    if not 0 < timeout_s < math.inf:
        raise ValueError(f"timeout of condition {name!r} must be more than 0 and finite, got {timeout!r}")
    return timeout_s
