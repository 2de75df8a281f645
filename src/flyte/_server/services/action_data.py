"""The inputs and outputs of actions, wherever they are: in the store, or at an address."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypeVar

from flyteidl2.task.common_pb2 import Inputs, Outputs
from google.protobuf.message import DecodeError, Message

from flyte._server.data_addresses import read_data
from flyte._server.refusals import NotNowError, RefusedError, UnknownError
from flyte._server.services.run_reads import inputs_address, outputs_address, stored_payloads, viewed_action
from flyte._server.services.store import ServedStore
from flyte._server.services.views import Viewed
from flyte._store.reader import StoreReader
from flyte._store.records import ActionKind
from flyte.errors import StoreError

M = TypeVar("M", bound=Message)


async def load_action_data(store: ServedStore, run_name: str, action_name: str) -> tuple[Inputs, Outputs]:
    """The inputs and the outputs of an action; the outputs are empty until it has succeeded.

    Raises:
        UnknownError: there is no such action, or its data is gone.
        NotNowError: what is there is no such message.
    """

    def load(reader: StoreReader) -> tuple[Viewed, bytes | None, bytes | None]:
        with reader.snapshot():
            viewed = viewed_action(reader, run_name, action_name)
            try:
                return viewed, *stored_payloads(reader, viewed, store.home)
            except StoreError as error:
                raise UnknownError(f"the data of {run_name}/{action_name} is gone: {error}") from error

    viewed, inputs, outputs = await store.read(load)
    if inputs is None and (address := inputs_address(viewed)):
        inputs = await asyncio.to_thread(_read, store.home, viewed, "inputs", address)
    # A task that returns nothing may leave no file.
    if outputs is None and _has_outputs(viewed) and (address := outputs_address(viewed)):
        outputs = await asyncio.to_thread(_read, store.home, viewed, "outputs", address)
    return _parsed(Inputs(), inputs, viewed), _parsed(Outputs(), outputs, viewed)


def _read(home: Path, viewed: Viewed, what: str, address: str) -> bytes:
    folders = [viewed.run.base_dir or "", viewed.run.run_spec.run_base_dir]
    try:
        return read_data(address, home, folders)
    except RefusedError as error:
        name = f"{viewed.run.run.name}/{viewed.action.name}"
        raise type(error)(f"the {what} of {name} cannot be read: {error}") from error


def _has_outputs(viewed: Viewed) -> bool:
    """Whether the task is known to return something, or nothing is known of it."""
    if viewed.spec is None or not viewed.spec.task_template.HasField("interface"):
        return viewed.action.kind is not ActionKind.TASK
    return len(viewed.spec.task_template.interface.outputs.variables) > 0


def _parsed(message: M, data: bytes | None, viewed: Viewed) -> M:
    try:
        message.ParseFromString(data or b"")
    except DecodeError as error:
        name = type(message).__name__.lower()
        raise NotNowError(f"the {name} of {viewed.run.run.name}/{viewed.action.name} are damaged: {error}") from error
    return message
