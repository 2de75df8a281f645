"""Values that are one piece of content: in the literal while they are small, else in a file named by their hash."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from shutil import rmtree

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import BlobType, LiteralType

from flyte.errors import WrongKindOfDataError
from flyte.io._local_files import new_local_file
from flyte.storage._addresses import is_remote
from flyte.storage._backend import Tuning, backend_of
from flyte.storage._digests import PREFIX
from flyte.storage._flushing import wait_until_flushed
from flyte.storage._temporary import get_random_local_directory
from flyte.storage._transfer import content_address
from flyte.types._pickles import PICKLE_FORMAT

INLINE_BYTES = 10_240
"""So much content stays in the literal, as for pickles: a file costs more than the bytes."""


def content_type(format: str) -> LiteralType:
    """The literal type of values in files of a format."""
    literal_type = LiteralType()
    literal_type.blob.format = format
    literal_type.blob.dimensionality = BlobType.BlobDimensionality.SINGLE
    return literal_type


def digest_of(parts: Iterable[bytes | memoryview]) -> str:
    """The content hash of parts, one after the other; of large ones on all processors."""
    from blake3 import blake3

    hasher = blake3(max_threads=blake3.AUTO)
    for part in parts:
        hasher.update(part)
    return PREFIX + hasher.hexdigest()


def fill_inline(literal: Literal, format: str, content: bytes, digest: str) -> None:
    """The literal holds the content itself."""
    literal.scalar.binary.value = content
    literal.scalar.binary.tag = format
    literal.hash = digest


def fill_with_file(literal: Literal, format: str, name: str, digest: str, write: Callable[[Path], None]) -> None:
    """The literal points to the file with the content; `write` makes it at a local path, unless it is there already.

    Raises:
        NotInTaskContextError: no task is running here.
        StorageError: it cannot be written.
    """
    address = content_address(digest, name)
    if backend_of(address).find(address) is None:
        _write_file(address, write)
    # Whoever gets the address may record it.
    wait_until_flushed(address)
    blob = literal.scalar.blob
    blob.uri = address
    blob.metadata.type.CopyFrom(content_type(format).blob)
    literal.hash = digest


def is_pickle(literal: Literal) -> bool:
    """Whether a literal is one of a pickled value."""
    scalar = literal.scalar
    if scalar.HasField("blob"):
        return bool(scalar.blob.metadata.type.format == PICKLE_FORMAT)
    return scalar.HasField("binary") and not scalar.binary.tag


def not_content(where: str, wanted: str, error: BaseException) -> WrongKindOfDataError:
    """The error for content that is not what its format says."""
    cause = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return WrongKindOfDataError(
        where,
        f"cannot read {where} as {wanted}: {cause}. It is truncated or something else: run its task again.",
    )


def _write_file(address: str, write: Callable[[Path], None]) -> None:
    if not is_remote(address):
        with new_local_file(address) as path:
            write(path)
        return
    folder = get_random_local_directory()
    try:
        write(folder / "content")
        backend_of(address).store_file(folder / "content", address, Tuning())
    finally:
        rmtree(folder, ignore_errors=True)
