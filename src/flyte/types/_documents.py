"""Documents inside literals: how records and untyped dicts travel. Msgpack, and Structs in older releases."""

from __future__ import annotations

from typing import Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import LiteralType, SimpleType

from flyte.types._failure import TypeTransformerFailedError, short_repr, type_text, unreadable

MSGPACK = "msgpack"
"""The tag of binary literals that hold one msgpack document."""

DATACLASS_TAG = "Object-Dataclass-Transformer"
MODEL_TAG = "Pydantic Transformer"
"""What the structure of a literal type says about the record in its documents; tuples and TypedDicts are models."""


def struct_type(schema: dict[str, Any] | None = None, tag: str | None = None) -> LiteralType:
    """The literal type of a msgpack document, with the JSON schema and the kind of record where they are known."""
    literal_type = LiteralType(simple=SimpleType.STRUCT)
    if schema is not None:
        literal_type.metadata.update(schema)
    # Without this note the platform computes cache keys from the bytes, where the order of map keys matters.
    literal_type.annotation.annotations.update({"cache-key-metadata": {"serialization-format": MSGPACK}})
    if tag is not None:
        literal_type.structure.tag = tag
    return literal_type


def pack(plain: Any) -> bytes:
    """`plain` as one msgpack document.

    Raises:
        TypeTransformerFailedError: something in it has no msgpack form; says where and what.
    """
    import msgpack

    try:
        packed: bytes = msgpack.packb(plain)
    except (TypeError, ValueError, OverflowError) as error:
        raise _unpackable(plain, error) from error
    return packed


def write_document(plain: Any, literal: Literal) -> None:
    binary = literal.scalar.binary
    binary.value = pack(plain)
    binary.tag = MSGPACK


def unpack(document: bytes) -> Any:
    """What a msgpack document holds; map keys of any kind are kept.

    Raises:
        TypeTransformerFailedError: the bytes are not one msgpack document.
    """
    import msgpack

    try:
        return msgpack.unpackb(document, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        detail = str(error) or type(error).__name__
        raise TypeTransformerFailedError(
            f"Cannot decode {len(document)} bytes tagged `{MSGPACK}`: they are not a msgpack document ({detail})"
        ) from error


def read_document(literal: Literal, python_type: Any) -> Any:
    """The content of a literal that holds a document; `python_type` is named if it holds none.

    All numbers of a Struct are floats.

    Raises:
        TypeTransformerFailedError: it holds no document, or one that cannot be decoded.
    """
    scalar = literal.scalar
    if scalar.HasField("binary"):
        if scalar.binary.tag != MSGPACK:
            raise TypeTransformerFailedError(f"Unsupported binary format `{scalar.binary.tag}`")
        return unpack(scalar.binary.value)
    if scalar.HasField("generic"):
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(scalar.generic)
    raise unreadable(literal, python_type)


def _unpackable(plain: Any, error: Exception) -> TypeTransformerFailedError:
    path, culprit = _find_unpackable(plain)
    return TypeTransformerFailedError(
        f"Cannot convert `{short_repr(culprit)}` of type {type_text(type(culprit))} to Flyte Literal.\n"
        f"Error Message: {error}",
        path=path,
        fix="Use values that msgpack can hold: None, bool, int, float, str, bytes, lists and dicts of them.",
    )


def _find_unpackable(plain: Any, levels: int = 32) -> tuple[str, Any]:
    """The path to the innermost part that msgpack refuses, and that part; looks at most `levels` deep."""
    import msgpack

    if not levels:
        return "", plain
    parts: list[tuple[str, Any]] = []
    if isinstance(plain, dict):
        parts = [(f"[{key!r}]", part) for key, value in plain.items() for part in (key, value)]
    elif isinstance(plain, list | tuple):
        parts = [(f"[{index}]", item) for index, item in enumerate(plain)]
    for step, part in parts:
        try:
            msgpack.packb(part)
        except Exception:
            path, culprit = _find_unpackable(part, levels - 1)
            return step + path, culprit
    return "", plain
