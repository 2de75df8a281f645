"""Literals as plain values that can be printed."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Dict, Union

from flyteidl2.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar
from flyteidl2.task.common_pb2 import Inputs, NamedLiteral, Outputs

from flyte.types._documents import MSGPACK, unpack


def literal_string_repr(lm: Union[Literal, NamedLiteral, Inputs, Outputs, LiteralMap, Dict[str, Literal]]) -> Any:
    """What literals hold, as plain values: addresses of data, JSON text of records, ISO dates, seconds.

    Returns:
        A dict by name; for a single Literal its value alone.

    Raises:
        ValueError: a literal holds nothing.
    """
    match lm:
        case Literal():
            return _plain(lm)
        case NamedLiteral():
            return {lm.name: _plain(lm.value)}
        case Inputs() | Outputs():
            return {named.name: _plain(named.value) for named in lm.literals}
        case LiteralMap():
            return _plain_map(lm.literals)
        case Mapping():
            return _plain_map(lm)
    raise ValueError(f"literal_string_repr takes literals, got {type(lm).__name__}")


def _plain(literal: Literal) -> Any:
    match literal.WhichOneof("value"):
        case "scalar":
            return _plain_scalar(literal.scalar)
        case "collection":
            return [_plain(item) for item in literal.collection.literals]
        case "map":
            return _plain_map(literal.map.literals)
        case "offloaded_metadata":
            return literal.offloaded_metadata.uri
    raise ValueError(f"Unknown literal type {literal}")


def _plain_map(literals: Mapping[str, Literal]) -> dict[str, Any]:
    return {name: _plain(literals[name]) for name in sorted(literals)}


def _plain_scalar(scalar: Scalar) -> Any:
    match scalar.WhichOneof("value"):
        case "primitive":
            return _plain_primitive(scalar.primitive)
        case "none_type":
            return None
        case "union":
            return _plain(scalar.union.value)
        case "binary":
            if scalar.binary.tag == MSGPACK:
                return json.dumps(unpack(scalar.binary.value), default=str)
            return str(b64encode(scalar.binary.value))
        case "blob":
            return scalar.blob.uri
        case "structured_dataset":
            return scalar.structured_dataset.uri
        case "schema":
            return scalar.schema.uri
        case "error":
            return scalar.error.message
        case "generic":
            from google.protobuf.json_format import MessageToDict

            return MessageToDict(scalar.generic)
    raise ValueError(f"Unknown scalar type {scalar}")


def _plain_primitive(primitive: Primitive) -> Any:
    match primitive.WhichOneof("value"):
        case "datetime":
            return primitive.datetime.ToDatetime().isoformat()
        case "duration":
            seconds = primitive.duration.ToTimedelta().total_seconds()
            return int(seconds) if seconds.is_integer() else seconds
        case None:
            raise ValueError(f"Unknown primitive type {primitive}")
        case field:
            return getattr(primitive, field)
