"""What the engine and the process of one attempt tell each other: pickled messages, each after its length."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flyte._controller.child_tasks import TaskReference
from flyte._controller.local_run import LocalRunSpec
from flyte._engine.attempts import Failure
from flyte._store.conditions import Question
from flyte._store.records import ActionRecord

_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Start:
    """To the child, first: what to run. `record` has no payloads, and `log_levels` are those of our two loggers."""

    task: TaskReference
    inputs: bytes
    spec: LocalRunSpec
    record: ActionRecord
    group: str | None
    custom_context: Mapping[str, str]
    argv: list[str]
    log_levels: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """To the child: how one of its requests ended."""

    request_no: int
    value: Any = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """From the child: its imports are done, and the body runs."""


@dataclass(frozen=True, slots=True)
class Printed:
    """From the child: a text was written to the stream of that name."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class TaskCall:
    """A request to call a task; answered with its serialized `Outputs`.

    Attributes:
        action_name: The action that calls: that of the attempt, or of a trace inside it.
        task: The task, pickled by reference.
    """

    action_name: str
    task: bytes
    inputs: bytes
    group: str | None
    custom_context: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TraceBegin:
    """A request to begin a trace; answered with `TraceBegun`."""

    action_name: str
    function_name: str
    inputs: bytes
    group: str | None
    custom_context: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TraceBegun:
    """The action of a trace, with its outputs where it was recorded before."""

    action_name: str = ""
    outputs: bytes | None = None


@dataclass(frozen=True, slots=True)
class TraceEnd:
    """A request to record the end of a trace: outputs, a failure, or neither where it was aborted."""

    action_name: str
    outputs: bytes | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class ConditionAsk:
    """A request to ask people something; answered with the number of the condition."""

    action_name: str
    question: Question
    group: str | None
    custom_context: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ConditionWait:
    """A request for what people answered to a condition."""

    condition_no: int


Wanted = TaskCall | TraceBegin | TraceEnd | ConditionAsk | ConditionWait


@dataclass(frozen=True, slots=True)
class Request:
    """From the child: something that is answered."""

    request_no: int
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Cancel:
    """From the child: nobody waits for the answer to that request any more."""

    request_no: int


@dataclass(frozen=True, slots=True)
class Ended:
    """From the child, last: the serialized `Outputs` of the task, or why there are none."""

    outputs: bytes | None = None
    failure: Failure | None = None


def frame(message: object) -> bytes:
    """The message as it travels."""
    data = pickle.dumps(message)
    return _LENGTH.pack(len(data)) + data


LENGTH_BYTES = _LENGTH.size


def length_of(head: bytes) -> int:
    """How many bytes follow the first `LENGTH_BYTES` of a frame."""
    length: int = _LENGTH.unpack(head)[0]
    return length


def read_frame(read_exactly: Callable[[int], bytes]) -> Any:
    """The next message; `read_exactly` raises at the end."""
    return pickle.loads(read_exactly(length_of(read_exactly(LENGTH_BYTES))))
