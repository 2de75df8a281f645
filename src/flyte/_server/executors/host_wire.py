"""What a server and the host of its attempts tell each other: msgpack, each message behind its length."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgpack
from flyteidl2.task.task_definition_pb2 import TaskSpec

from flyte._engine.attempts import Failure
from flyte._server.executors.orders import AttemptEnd, AttemptOrder
from flyte.models import ActionID

VERSION = 1
"""Of these messages: a server does without a host that speaks another one."""

_LENGTH = struct.Struct(">I")


def framed(message: dict[str, Any]) -> bytes:
    """The message as it travels."""
    body: bytes = msgpack.packb(message)
    return _LENGTH.pack(len(body)) + body


async def received(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next message.

    Raises:
        asyncio.IncompleteReadError: the other side has gone.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    message: dict[str, Any] = msgpack.unpackb(await reader.readexactly(length), strict_map_key=False)
    return message


def packed_order(order: AttemptOrder, *, with_spec: bool) -> dict[str, Any]:
    """The order in a message; its spec need not go twice."""
    action = order.action
    return {
        "action": [action.name, action.run_name, action.project, action.domain, action.org],
        "attempt_no": order.attempt_no,
        "spec": order.spec.SerializeToString() if with_spec else None,
        "digest": order.spec_digest,
        "inputs_uri": order.inputs_uri,
        "outputs_path": order.outputs_path,
        "run_base_dir": order.run_base_dir,
        "raw_data_path": order.raw_data_path,
        "checkpoint_path": order.checkpoint_path,
        "prev_checkpoint": order.prev_checkpoint,
        "run_started_at": order.run_started_at.timestamp(),
        "env_vars": dict(order.env_vars),
    }


def order_of(message: dict[str, Any], spec: TaskSpec) -> AttemptOrder:
    """The order in a message, of a task with that spec."""
    name, run_name, project, domain, org = message["action"]
    return AttemptOrder(
        action=ActionID(name=name, run_name=run_name, project=project, domain=domain, org=org),
        attempt_no=message["attempt_no"],
        spec=spec,
        spec_digest=message["digest"],
        inputs_uri=message["inputs_uri"],
        outputs_path=message["outputs_path"],
        run_base_dir=message["run_base_dir"],
        raw_data_path=message["raw_data_path"],
        checkpoint_path=message["checkpoint_path"],
        prev_checkpoint=message["prev_checkpoint"],
        run_started_at=datetime.fromtimestamp(message["run_started_at"], UTC),
        env_vars=message["env_vars"],
    )


def packed_end(end: AttemptEnd) -> dict[str, Any]:
    """How an attempt ended, in a message."""
    return {"outputs": end.outputs, "failure": None if end.failure is None else asdict(end.failure)}


def end_of(message: dict[str, Any]) -> AttemptEnd:
    """How it ended, of a message."""
    failure = message["failure"]
    return AttemptEnd(message["outputs"], None if failure is None else Failure(**failure))
