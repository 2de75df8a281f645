"""Lists, and dicts with text keys."""

from __future__ import annotations

from typing import Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import LiteralType

from flyte.types._converter import Converter, PlainConverter
from flyte.types._failure import TypeTransformerFailedError, short, short_repr, type_text


class ListConverter(PlainConverter):
    name = "Typed List"
    value_type = list

    def __init__(self, python_type: Any, item: Converter) -> None:
        self.python_type = python_type
        self.item = item
        self.blocking = item.blocking

    def build_literal_type(self) -> LiteralType:
        return LiteralType(collection_type=self.item.literal_type)

    def write(self, value: Any, literal: Literal) -> None:
        self._check_container(value)
        collection = literal.collection
        collection.SetInParent()
        add = collection.literals.add
        write_item = self.item.write
        index = 0
        try:
            for index, item in enumerate(value):  # noqa: B007 (the handler names the item that failed)
                write_item(item, add())
        except TypeTransformerFailedError as error:
            error.prepend(f"[{index}]")
            raise

    def read(self, literal: Literal) -> Any:
        if not literal.HasField("collection"):
            return self.read_other(literal)
        read_item = self.item.read
        items: list[Any] = []
        try:
            for item in literal.collection.literals:
                items.append(read_item(item))  # noqa: PERF401 (its length tells where it failed)
        except TypeTransformerFailedError as error:
            error.prepend(f"[{len(items)}]")
            raise
        return items

    def read_plain(self, plain: Any) -> list[Any]:
        if not isinstance(plain, list):
            raise not_a(list, plain)
        return [_read_plain_item(self.item, item, f"[{index}]") for index, item in enumerate(plain)]

    def check(self, value: Any) -> None:
        self._check_container(value)
        index = 0
        try:
            for index, item in enumerate(value):  # noqa: B007
                self.item.check(item)
        except TypeTransformerFailedError as error:
            error.prepend(f"[{index}]")
            raise

    def _check_container(self, value: Any) -> None:
        if not isinstance(value, list):
            raise not_a(list, value, fix="Pass `list(...)` of it." if isinstance(value, tuple | set) else "")


class MapConverter(PlainConverter):
    """Dicts with text keys; an item travels as a literal of its own."""

    name = "Typed Dict"
    value_type = dict

    def __init__(self, python_type: Any, item: Converter) -> None:
        self.python_type = python_type
        self.item = item
        self.blocking = item.blocking

    def build_literal_type(self) -> LiteralType:
        return LiteralType(map_value_type=self.item.literal_type)

    def write(self, value: Any, literal: Literal) -> None:
        if not isinstance(value, dict):
            raise not_a(dict, value)
        items = literal.map
        items.SetInParent()
        literals = items.literals
        write_item = self.item.write
        key: Any = None
        try:
            for key, item in value.items():
                _check_key(key)
                write_item(item, literals[key])
        except TypeTransformerFailedError as error:
            error.prepend(f"[{key!r}]")
            raise

    def read(self, literal: Literal) -> Any:
        if not literal.HasField("map"):
            return self.read_other(literal)
        literals = literal.map.literals
        read_item = self.item.read
        value: dict[str, Any] = {}
        key = ""
        try:
            # The wire keeps no order; a stable one keeps what a task does with the dict repeatable.
            for key in sorted(literals):
                value[key] = read_item(literals[key])
        except TypeTransformerFailedError as error:
            error.prepend(f"[{key!r}]")
            raise
        return value

    def read_plain(self, plain: Any) -> dict[str, Any]:
        if not isinstance(plain, dict):
            raise not_a(dict, plain)
        return {key: _read_plain_item(self.item, item, f"[{key!r}]") for key, item in plain.items()}

    def check(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise not_a(dict, value)
        key: Any = None
        try:
            for key, item in value.items():
                _check_key(key)
                self.item.check(item)
        except TypeTransformerFailedError as error:
            error.prepend(f"[{key!r}]")
            raise


def not_a(container: type, value: Any, *, fix: str = "") -> TypeTransformerFailedError:
    return TypeTransformerFailedError(f"Value '{short(value)}' is not of container type {container}", fix=fix)


def _check_key(key: Any) -> None:
    if not isinstance(key, str):
        raise TypeTransformerFailedError(
            f"Flyte MapType expects all keys to be strings, got {short_repr(key)} of type {type_text(type(key))}",
            fix=f"Use text keys, or annotate `dict[{type_text(type(key))}, ...]`.",
        )


def _read_plain_item(item: Converter, plain: Any, step: str) -> Any:
    if not isinstance(item, PlainConverter):
        raise TypeTransformerFailedError(
            f"Cannot convert msgpack document {short_repr(plain)} to {type_text(item.python_type)}", path=step
        )
    try:
        return item.read_plain(plain)
    except TypeTransformerFailedError as error:
        error.prepend(step)
        raise
