"""Unions: which variant takes a value, and which one a literal was written by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import LiteralType, SimpleType

from flyte.types._converter import Converter
from flyte.types._failure import TypeTransformerFailedError, literal_text, short, type_text

_KIND_OF_PRIMITIVE = {
    "integer": SimpleType.INTEGER,
    "float_value": SimpleType.FLOAT,
    "string_value": SimpleType.STRING,
    "boolean": SimpleType.BOOLEAN,
    "datetime": SimpleType.DATETIME,
    "duration": SimpleType.DURATION,
}


class UnionConverter(Converter):
    """`X | Y` and `Optional[X]`. The literal names the variant that wrote it, so that reading needs no guess.

    The variants whose class is exactly that of the value come first, in the order of the annotation. Only where none
    of them takes it do the others try, and then one alone must accept.
    """

    name = "Typed Union"

    def __init__(self, python_type: Any, variants: list[Converter]) -> None:
        self.python_type = python_type
        self.blocking = any(variant.blocking for variant in variants)
        self._variants = [_Variant(variant) for variant in variants]
        self._by_value_type: dict[type, list[_Variant]] = {}
        self._by_tag: dict[str, list[_Variant]] = {}
        _tell_apart(self._variants)
        for variant in self._variants:
            self._by_tag.setdefault(variant.converter.name, []).append(variant)
            if variant.converter.value_type is not None:
                self._by_value_type.setdefault(variant.converter.value_type, []).append(variant)

    def build_literal_type(self) -> LiteralType:
        literal_type = LiteralType()
        literal_type.union_type.variants.extend(variant.literal_type for variant in self._variants)
        return literal_type

    def write(self, value: Any, literal: Literal) -> None:
        union = literal.scalar.union
        exact = self._by_value_type.get(type(value), [])
        failure: TypeTransformerFailedError | None = None
        for variant in exact:
            try:
                variant.converter.write(value, union.value)
            except TypeTransformerFailedError as error:
                union.value.Clear()
                failure = failure or error
            else:
                union.type.CopyFrom(variant.literal_type)
                return
        variant, encoded = self._only_taker(value, [each for each in self._variants if each not in exact], failure)
        union.value.CopyFrom(encoded)
        union.type.CopyFrom(variant.literal_type)

    def read(self, literal: Literal) -> Any:
        if not literal.scalar.HasField("union"):
            return self._read_untagged(literal)
        union = literal.scalar.union
        tag = union.type.structure.tag
        if not tag:
            return self._read_untagged(union.value)
        named = self._by_tag.get(tag)
        if named is None:
            raise TypeTransformerFailedError(
                f"Cannot convert from {literal_text(literal)} to {self.python_type} (using tag {tag})"
            )
        if len(named) == 1:
            return named[0].converter.read(union.value)
        for variant in named:
            if variant.literal_type == union.type:
                return variant.converter.read(union.value)
        title = _title(union.type)
        same_title = [variant for variant in named if _title(variant.literal_type) == title]
        return self._read_as_one_of(same_title or named, union.value)

    def check(self, value: Any) -> None:
        exact = self._by_value_type.get(type(value), [])
        for variant in [*exact, *self._variants]:
            try:
                variant.converter.check(value)
            except TypeTransformerFailedError:
                continue
            return
        self.write(value, Literal())

    def _only_taker(
        self, value: Any, variants: list[_Variant], failure: TypeTransformerFailedError | None
    ) -> tuple[_Variant, Literal]:
        """The variant that takes a value of a class that no variant has, and what it makes of it."""
        takers = list(_takers(value, variants))
        # A pickle takes anything, so it is the last resort and no rival of a variant that knows the type.
        knowing = [taker for taker in takers if not taker[0].takes_anything]
        if len(knowing) == 1:
            return knowing[0]
        if knowing:
            raise TypeTransformerFailedError(
                f"Ambiguous choice of variant for union type.\n"
                f"Potential types: [{', '.join(type_text(variant.converter.python_type) for variant, _ in knowing)}]",
                fix="Pass a value whose class is one of the types of the union.",
            )
        if takers:
            return takers[0]
        raise failure or TypeTransformerFailedError(
            f"Value {short(value)} of type {type_text(type(value))} is not of type {type_text(self.python_type)}"
        )

    def _read_untagged(self, literal: Literal) -> Any:
        """Read what was written by a plain type, not by a union: the variant of the same kind, or the one that can."""
        kind = _KIND_OF_PRIMITIVE.get(literal.scalar.primitive.WhichOneof("value") or "")
        same_kind = [
            variant
            for variant in self._variants
            if variant.literal_type.WhichOneof("type") == "simple" and variant.literal_type.simple == kind
        ]
        return self._read_as_one_of(same_kind if kind is not None and same_kind else self._variants, literal)

    def _read_as_one_of(self, variants: list[_Variant], literal: Literal) -> Any:
        read: list[tuple[_Variant, Any]] = []
        failure: TypeTransformerFailedError | None = None
        for variant in variants:
            try:
                read.append((variant, variant.converter.read(literal)))
            except TypeTransformerFailedError as error:
                failure = error
        if len(read) == 1:
            return read[0][1]
        if not read:
            raise TypeTransformerFailedError(
                f"Cannot convert from {literal_text(literal)} to {type_text(self.python_type)}"
            ) from failure
        names = " and ".join(type_text(variant.converter.python_type) for variant, _ in read)
        raise TypeTransformerFailedError(f"Ambiguous choice of variant for union type. Both {names} transformers match")


class _Variant:
    """One type of a union, with its literal type as it stands in the union: tagged with the converter's name."""

    def __init__(self, converter: Converter) -> None:
        self.converter = converter
        self.takes_anything = converter.takes_anything
        self.literal_type = LiteralType()
        self.literal_type.CopyFrom(converter.literal_type)
        self.literal_type.structure.tag = converter.name


def _tell_apart(variants: list[_Variant]) -> None:
    """Variants that differ in the tags of their own types alone, such as frames of two libraries, get those noted."""
    plain = [variant.literal_type.SerializeToString(deterministic=True) for variant in variants]
    for variant, wire in zip(variants, plain, strict=True):
        own_tag = variant.converter.literal_type.structure.tag
        if own_tag and plain.count(wire) > 1:
            variant.literal_type.metadata.update({"tag": own_tag})


def _title(literal_type: LiteralType) -> str:
    """The name of the record class in its schema; still right when fields were added since the literal was written."""
    return literal_type.metadata.fields["title"].string_value if "title" in literal_type.metadata.fields else ""


def _takers(value: Any, variants: list[_Variant]) -> Iterable[tuple[_Variant, Literal]]:
    for variant in variants:
        literal = Literal()
        try:
            variant.converter.write(value, literal)
        except TypeTransformerFailedError:
            continue
        yield variant, literal
