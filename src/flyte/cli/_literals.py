"""Recorded inputs and outputs as values that JSON has, without the code that made them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyteidl2.core.literals_pb2 import Literal


def inputs_of(payload: bytes | None) -> dict[str, Any]:
    """The values in a serialized `flyteidl2.task.Inputs`, by name."""
    from flyteidl2.task.common_pb2 import Inputs

    return {each.name: value_of(each.value) for each in Inputs.FromString(payload or b"").literals}


def outputs_of(payload: bytes | None) -> dict[str, Any]:
    """The values in a serialized `flyteidl2.task.Outputs`, by name."""
    from flyteidl2.task.common_pb2 import Outputs

    return {each.name: value_of(each.value) for each in Outputs.FromString(payload or b"").literals}


def value_of(literal: Literal) -> Any:
    """A literal as a JSON value: texts, numbers, lists and objects; what has no such form as text."""
    match literal.WhichOneof("value"):
        case "collection":
            return [value_of(each) for each in literal.collection.literals]
        case "map":
            return {name: value_of(each) for name, each in literal.map.literals.items()}
    match literal.scalar.WhichOneof("value"):
        case "union":
            return value_of(literal.scalar.union.value)
        case "binary" if literal.scalar.binary.tag == "msgpack":
            import msgpack

            return finite(msgpack.unpackb(literal.scalar.binary.value, strict_map_key=False))
    from flyte.types import literal_string_repr

    return finite(literal_string_repr({"value": literal})["value"])


def finite(value: Any) -> Any:
    """The value with what JSON does not have as text: NaN, infinities, bytes, keys that are no texts."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case bytes():
            return value.decode(errors="backslashreplace")
        case list() | tuple():
            return [finite(each) for each in value]
        case dict():
            return {str(key): finite(each) for key, each in value.items()}
        case str() | int() | float() | None:
            return value
    return str(value)


def show_value(value: Any) -> str:
    """A JSON value on one line: texts as they are, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
