"""The inputs of a run on a control plane: local files and data are uploaded before it starts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import copy_context
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from flyteidl2.core.literals_pb2 import KeyValuePair, Literal
from flyteidl2.task.common_pb2 import Inputs

from flyte._context import ActionScope, enter_scope
from flyte._run.no_calls import NoCalls
from flyte.errors import RuntimeUserError
from flyte.models import ActionID, RawDataPath, TaskContext
from flyte.remote._uploads import folder_address, send_folder

if TYPE_CHECKING:
    from flyte._rpc.sessions import Session


async def convert_inputs(
    session: Session | None, convert: Callable[[], Inputs], custom_context: Mapping[str, str]
) -> Inputs:
    """What `convert` returns, with the addresses of what was uploaded in place of local ones.

    Args:
        session: With the control plane; None uploads nothing, and refuses data that would have to be.
        convert: Makes the message. It is called in a context in which data is stored as in a task.
        custom_context: What every action of the run sees.

    Raises:
        TypeError: a value does not fit its annotation.
        ValueError: an input is missing or unknown.
        UnionRpcError: data could not be uploaded.
    """
    with TemporaryDirectory(prefix="flyte-tmp-") as scratch:
        staging = Path(scratch).resolve() / uuid4().hex
        staging.mkdir()
        context = copy_context()
        context.run(enter_scope, _scope(staging))
        inputs = await asyncio.to_thread(context.run, convert)
        if any(staging.iterdir()):
            if session is None:
                raise RuntimeUserError(
                    "DataInDryRun",
                    "the inputs hold local files or data, which a dry run does not upload: leave dry_run out.",
                )
            addresses = await send_folder(session, staging, uuid4().hex)
            if addresses:
                _replace(inputs, str(staging), folder_address(addresses))
    inputs.context.extend(KeyValuePair(key=key, value=text) for key, text in custom_context.items())
    return inputs


def _scope(staging: Path) -> ActionScope:
    nowhere: Any = NoCalls()

    def make_context(scope: ActionScope) -> TaskContext:
        from flyte.report import Report

        return TaskContext(
            action=ActionID(name="a0"),
            version="",
            raw_data_path=RawDataPath(path=str(staging)),
            output_path=str(staging),
            run_base_dir=str(staging),
            report=Report(name="a0"),
            mode="remote",
            in_driver_literal_conversion=True,
            run_start_time=datetime.now(UTC),
        )

    return ActionScope("a0", nowhere, make_context)


def _replace(inputs: Inputs, old: str, new: str) -> None:
    """Addresses below `old` are below `new` in all of the message."""
    for named in inputs.literals:
        _replace_in(named.value, old, new, named.name)


def _replace_in(literal: Literal, old: str, new: str, name: str) -> None:
    match literal.WhichOneof("value"):
        case "collection":
            for each in literal.collection.literals:
                _replace_in(each, old, new, name)
        case "map":
            for each in literal.map.literals.values():
                _replace_in(each, old, new, name)
        case "offloaded_metadata":
            literal.offloaded_metadata.uri = _moved(literal.offloaded_metadata.uri, old, new)
        case "scalar":
            _replace_in_scalar(literal.scalar, old, new, name)


def _replace_in_scalar(scalar: Any, old: str, new: str, name: str) -> None:
    match scalar.WhichOneof("value"):
        case "blob":
            scalar.blob.uri = _moved(scalar.blob.uri, old, new)
        case "structured_dataset":
            scalar.structured_dataset.uri = _moved(scalar.structured_dataset.uri, old, new)
        case "union":
            _replace_in(scalar.union.value, old, new, name)
        case "binary" if old.encode() in scalar.binary.value:
            scalar.binary.value = _moved_document(scalar.binary.tag, scalar.binary.value, old, new, name)


def _moved_document(tag: str, data: bytes, old: str, new: str, name: str) -> bytes:
    """A document with its addresses moved.

    Raises:
        RuntimeUserError: code `LocalDataInPickle`; it is a pickle, in which no address can be replaced.
    """
    import msgpack

    if tag != "msgpack":
        raise RuntimeUserError(
            "LocalDataInPickle",
            f"input {name!r} is pickled with a local file in it, whose address is another one on the control plane: "
            f"pass the file as an input of its own, or in a dataclass.",
        )

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return _moved(value, old, new)
        if isinstance(value, list):
            return [walk(each) for each in value]
        if isinstance(value, dict):
            return {walk(key): walk(each) for key, each in value.items()}
        return value

    packed: bytes = msgpack.packb(walk(msgpack.unpackb(data, strict_map_key=False)))
    return packed


def _moved(address: str, old: str, new: str) -> str:
    return new + address.removeprefix(old) if address.startswith(old) else address
