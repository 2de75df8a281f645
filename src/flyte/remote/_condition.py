"""Questions of runs to people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Union

from flyteidl2.core.types_pb2 import SimpleType
from flyteidl2.workflow import run_definition_pb2 as messages
from flyteidl2.workflow import run_service_pb2 as service

from flyte._rpc.settings import current_session
from flyte.models import ActionPhase
from flyte.remote._action import listed
from flyte.remote._class_calls import on_class
from flyte.remote._documents import Document
from flyte.remote._filters import equal
from flyte.syncify import syncify

ConditionPayload = Union[bool, int, float, str]

_TYPES: dict[int, type] = {
    SimpleType.BOOLEAN: bool,
    SimpleType.INTEGER: int,
    SimpleType.FLOAT: float,
    SimpleType.STRING: str,
}


@dataclass
class Condition(Document):
    """A condition of a run.

    Attributes:
        pb2: The message.
    """

    pb2: messages.Action

    @property
    def name(self) -> str:
        """What the task called it."""
        return str(self.pb2.metadata.condition.name)

    @property
    def action_name(self) -> str:
        """The name of its action."""
        return str(self.pb2.id.name)

    @property
    def run_name(self) -> str:
        """The run that asks."""
        return str(self.pb2.id.run.name)

    @property
    def phase(self) -> ActionPhase:
        """PAUSED while it waits for an answer."""
        return ActionPhase.from_protobuf(self.pb2.status.phase)

    @property
    def expected_type(self) -> type:
        """The type of the answer."""
        return _TYPES.get(self.pb2.metadata.condition.type.simple, str)

    @on_class
    @classmethod
    async def listall(cls, run_name: str, action_name: str | None = None, limit: int = 100) -> AsyncIterator[Condition]:
        """The conditions of a run.

        Args:
            run_name: The run.
            action_name: Only those that this action asked.
            limit: How many at most; below 0 is all.

        Raises:
            RunNotFoundError: there is no such run.
        """
        only = equal("action_type", str(messages.ACTION_TYPE_CONDITION))
        async for each in listed(run_name, parent_name=action_name, filters=only, limit=limit):
            if each.metadata.HasField("condition"):
                yield cls(each)

    @on_class
    @classmethod
    async def get(cls, name: str, /, run_name: str, action_name: str | None = None) -> Condition | None:
        """The condition of that name; of several, one that still waits; None where there is none."""
        found = None
        async for each in cls.listall.aio(run_name, action_name, limit=-1):
            if name in (each.name, each.action_name):
                if not each.phase.is_terminal:
                    return each
                found = found or each
        return found

    @syncify
    async def signal(self, payload: ConditionPayload) -> None:
        """It has this answer, and the task goes on.

        Raises:
            TypeError: the answer is of another type.
            UnionRpcError: it has an answer already, or its run is over.
        """
        expected = self.expected_type
        value = float(payload) if expected is float and type(payload) is int else payload
        if type(value) is not expected:
            raise TypeError(
                f"condition {self.name!r} is to be answered with {expected.__name__}, got {payload!r} "
                f"({type(payload).__name__})."
            )
        field = {bool: "bool_value", int: "int_value", float: "float_value", str: "string_value"}[expected]
        await current_session().runs.signal_event(
            service.SignalEventRequest(
                action_id=self.pb2.id,
                parent_action_name=self.pb2.metadata.parent,
                payload=service.EventPayload(**{field: value}),
            )
        )
