"""The hash of a task's inputs: part of the name of its action, and of its cache key.

Source of the format: the official release; `tests/types/test_types_hashing.py` has its vectors.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Collection
from hashlib import sha256
from typing import Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.task.common_pb2 import Inputs

from flyte.storage._digests import is_digest
from flyte.types._documents import MSGPACK, pack, unpack
from flyte.types._failure import TypeTransformerFailedError

_REFERENCE = {"path", "name", "format", "hash"}
"""The fields of a file or folder in a document. One that has a content hash is known by that, wherever it is."""


def inputs_hash(inputs: Inputs, ignored: Collection[str] = ()) -> str:
    """Base64 of SHA-256 over the inputs, in their order; the empty string where there are none.

    Equal values give equal hashes: the keys of maps and of msgpack documents are sorted, and a literal that carries a
    hash of its own stands for it.

    Args:
        inputs: In the order of the interface.
        ignored: Names of inputs to leave out.
    """
    parts: list[bytes] = []
    for named in inputs.literals:
        name = named.name
        if name in ignored:
            continue
        parts += (name.encode(), b":", _representation(named.value), b";")
    if not parts:
        return ""
    return b2a_base64(sha256(b"".join(parts)).digest(), newline=False).decode()


def _representation(literal: Literal) -> bytes:
    """The bytes that stand for a literal."""
    own: str = literal.hash
    if own:
        return own.encode()
    scalar = literal.scalar
    if not scalar.HasField("primitive"):
        if literal.HasField("collection"):
            return b"".join(map(_representation, literal.collection.literals))
        if literal.HasField("map"):
            literals = literal.map.literals
            return b"".join(key.encode() + _representation(literals[key]) for key in sorted(literals))
        if scalar.HasField("binary") and scalar.binary.tag == MSGPACK:
            literal = _canonical_document(literal)
    wire: bytes = literal.SerializeToString(deterministic=True)
    return wire


def _canonical_document(literal: Literal) -> Literal:
    """A msgpack literal as if the keys of its maps had been written in order; itself if it cannot be decoded."""
    try:
        content = _sorted(unpack(literal.scalar.binary.value))
    except TypeTransformerFailedError:
        return literal
    canonical = Literal()
    canonical.CopyFrom(literal)
    canonical.scalar.binary.value = pack(content)
    return canonical


def _sorted(plain: Any) -> Any:
    if isinstance(plain, dict):
        if plain.keys() == _REFERENCE and is_digest(str(plain["hash"]).partition("/")[0]):
            plain = {**plain, "path": ""}
        # By their packed form, which has an order even among keys of several types.
        return {key: _sorted(plain[key]) for key in sorted(plain, key=pack)}
    if isinstance(plain, list):
        return [_sorted(item) for item in plain]
    return plain
