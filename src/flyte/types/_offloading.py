"""Large literals in files of their own: the record holds their address, size and type, and whoever needs one reads it.

The file holds the serialized `Literal`, under an address made of its content: of equal values there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.task.common_pb2 import Inputs, Outputs
from google.protobuf.message import DecodeError

from flyte.errors import StorageError
from flyte.storage._addresses import rewritten
from flyte.storage._backend import Expected, backend_of
from flyte.storage._digests import digest_of_bytes
from flyte.storage._transfer import store_content
from flyte.types._failure import TypeTransformerFailedError

if TYPE_CHECKING:
    from flyte.models import RawDataPath

OFFLOADED_FROM_BYTES = 64 * 1024
"""Literals of more bytes are offloaded."""

M = TypeVar("M", Inputs, Outputs)


def offload(message: M, raw_data_path: RawDataPath) -> M:
    """A copy of `message` whose large literals are at addresses below the raw data path.

    Raises:
        StorageError: one could not be written.
    """
    small = type(message)()
    small.CopyFrom(message)
    for named in small.literals:
        data = named.value.SerializeToString(deterministic=True)
        if len(data) <= OFFLOADED_FROM_BYTES or named.value.HasField("offloaded_metadata"):
            continue
        address, digest = store_content(data, "literal.pb", raw_data_path)
        named.value.Clear()
        named.value.hash = digest
        named.value.offloaded_metadata.uri = address
        named.value.offloaded_metadata.size_bytes = len(data)
    return small


def loaded(literal: Literal) -> Literal:
    """The literal itself, where `literal` only says at which address it is.

    Raises:
        TypeTransformerFailedError: it is not there, cannot be read, or is not what was written.
    """
    if not literal.HasField("offloaded_metadata"):
        return literal
    address = rewritten(literal.offloaded_metadata.uri)
    try:
        data = backend_of(address).read(address)
        Expected(literal.hash or None).check(address, lambda: digest_of_bytes(data))
        return Literal.FromString(data)
    except StorageError as error:
        raise TypeTransformerFailedError(f"Cannot read the literal at {address}: {error}") from error
    except DecodeError as error:
        raise TypeTransformerFailedError(f"The file {address} holds no literal: {error}") from error


def all_loaded(message: M) -> M:
    """`message` with every offloaded literal read back, as it was before `offload`."""
    for named in message.literals:
        if named.value.HasField("offloaded_metadata"):
            named.value.CopyFrom(loaded(named.value))
    return message
