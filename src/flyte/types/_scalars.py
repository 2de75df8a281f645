"""Numbers, text, truth values, times and None."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import LiteralType, SimpleType

from flyte.types._converter import PlainConverter
from flyte.types._failure import TypeTransformerFailedError, mismatch, short_repr, type_text, unreadable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ScalarConverter(PlainConverter):
    """Base of the converters whose literal is one simple scalar.

    `python_type` may be a subclass of `value_class`: its values are required on the way in and made on the way out.
    """

    simple: ClassVar[SimpleType.ValueType]
    value_class: ClassVar[type]

    def __init__(self, python_type: type | None = None) -> None:
        self.name = self.value_class.__name__
        self.python_type = self.value_type = python_type or self.value_class

    def build_literal_type(self) -> LiteralType:
        return LiteralType(simple=self.simple)

    def restore(self, value: Any) -> Any:
        """`value`, as an instance of a subclass where that is the annotation."""
        if self.python_type is self.value_class:
            return value
        try:
            return self.python_type(value)
        except Exception as error:
            raise TypeTransformerFailedError(
                f"Cannot make a {type_text(self.python_type)} of {short_repr(value)}: {error}"
            ) from error


class IntConverter(ScalarConverter):
    """Whole numbers of 64 bits; a bool is refused although Python counts it as an int."""

    simple = SimpleType.INTEGER
    value_class = int

    def write(self, value: Any, literal: Literal) -> None:
        if type(value) is not self.python_type:
            self.check(value)
        try:
            literal.scalar.primitive.integer = value
        except ValueError:
            raise self._out_of_range(value) from None

    def read(self, literal: Literal) -> Any:
        primitive = literal.scalar.primitive
        if primitive.HasField("integer"):
            return self.restore(primitive.integer)
        if primitive.HasField("float_value"):
            return self.restore(self.read_plain(primitive.float_value))
        return self.read_other(literal)

    def read_plain(self, plain: Any) -> int:
        if isinstance(plain, float):
            if not plain.is_integer():
                raise TypeTransformerFailedError(
                    f"Cannot convert {plain} to {type_text(self.python_type)} without changing it"
                )
            return int(plain)
        if type(plain) is not int:
            raise mismatch(self.python_type, plain)
        return plain

    def check(self, value: Any) -> None:
        if isinstance(value, bool):
            raise mismatch(self.python_type, value, fix="Annotate `bool`, or pass `int(...)` of it.")
        if not isinstance(value, self.python_type):
            raise mismatch(self.python_type, value, fix=_number_fix(value, "int"))
        if not -(2**63) <= value < 2**63:
            raise self._out_of_range(value)

    @staticmethod
    def _out_of_range(value: int) -> TypeTransformerFailedError:
        return TypeTransformerFailedError(
            f"Value out of range: {short_repr(value)} does not fit the 64 bits of an int",
            fix="Pass it as `str`, or as `float` if it may lose digits.",
        )


class FloatConverter(ScalarConverter):
    """Double precision numbers; NaN and the infinities included. An int is refused, as by the official release."""

    simple = SimpleType.FLOAT
    value_class = float

    def write(self, value: Any, literal: Literal) -> None:
        if type(value) is not self.python_type:
            self.check(value)
        literal.scalar.primitive.float_value = value

    def read(self, literal: Literal) -> Any:
        primitive = literal.scalar.primitive
        if primitive.HasField("float_value"):
            return self.restore(primitive.float_value)
        if primitive.HasField("integer"):
            return self.restore(float(primitive.integer))
        return self.read_other(literal)

    def read_plain(self, plain: Any) -> float:
        if type(plain) is bool or not isinstance(plain, int | float):
            raise mismatch(self.python_type, plain)
        return float(plain)

    def check(self, value: Any) -> None:
        if not isinstance(value, self.python_type):
            raise mismatch(self.python_type, value, fix=_number_fix(value, "float"))


class StrConverter(ScalarConverter):
    simple = SimpleType.STRING
    value_class = str

    def write(self, value: Any, literal: Literal) -> None:
        if type(value) is not self.python_type:
            self._require_text(value)
        try:
            literal.scalar.primitive.string_value = value
        except UnicodeEncodeError as error:
            raise TypeTransformerFailedError(
                f"Text {short_repr(value)} cannot be encoded as UTF-8: {error.reason}",
                fix="Pass `bytes` for data that is not text.",
            ) from error

    def read(self, literal: Literal) -> Any:
        primitive = literal.scalar.primitive
        if primitive.HasField("string_value"):
            return self.restore(primitive.string_value)
        return self.read_other(literal)

    def read_plain(self, plain: Any) -> str:
        if not isinstance(plain, str):
            raise mismatch(self.python_type, plain)
        return plain

    def _require_text(self, value: Any) -> None:
        if not isinstance(value, self.python_type):
            raise mismatch(self.python_type, value, fix="Pass `str(...)` of it." if isinstance(value, int) else "")


class BoolConverter(ScalarConverter):
    simple = SimpleType.BOOLEAN
    value_class = bool

    def write(self, value: Any, literal: Literal) -> None:
        if type(value) is not bool:
            raise mismatch(bool, value, fix="Pass `bool(...)` of it." if isinstance(value, int) else "")
        literal.scalar.primitive.boolean = value

    def read(self, literal: Literal) -> Any:
        primitive = literal.scalar.primitive
        if primitive.HasField("boolean"):
            return primitive.boolean
        return self.read_other(literal)

    def read_plain(self, plain: Any) -> bool:
        if type(plain) is not bool:
            raise mismatch(bool, plain)
        return plain


class DatetimeConverter(ScalarConverter):
    """Moments. One without a time zone is taken as UTC; what comes back is always in UTC."""

    simple = SimpleType.DATETIME
    value_class = datetime

    def write(self, value: Any, literal: Literal) -> None:
        if not isinstance(value, self.python_type):
            fix = "Pass a datetime, or annotate `datetime.date`." if isinstance(value, date) else ""
            raise mismatch(self.python_type, value, fix=fix)
        _write_moment(value if value.tzinfo else value.replace(tzinfo=UTC), literal)

    def read(self, literal: Literal) -> Any:
        if literal.scalar.primitive.HasField("datetime"):
            return _read_moment(literal, self.python_type)
        return self.read_other(literal)

    def read_plain(self, plain: Any) -> datetime:
        moment = datetime.fromisoformat(plain)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class DateConverter(ScalarConverter):
    """Days, sent as midnight in UTC. A datetime is taken for its day."""

    simple = SimpleType.DATETIME
    value_class = date

    def write(self, value: Any, literal: Literal) -> None:
        if not isinstance(value, self.python_type):
            raise mismatch(self.python_type, value)
        _write_moment(datetime(value.year, value.month, value.day, tzinfo=UTC), literal)

    def read(self, literal: Literal) -> Any:
        if literal.scalar.primitive.HasField("datetime"):
            return _read_moment(literal, self.python_type).date()
        return self.read_other(literal)

    def read_plain(self, plain: Any) -> date:
        return date.fromisoformat(plain)


class TimedeltaConverter(ScalarConverter):
    simple = SimpleType.DURATION
    value_class = timedelta

    def write(self, value: Any, literal: Literal) -> None:
        if not isinstance(value, self.python_type):
            raise mismatch(
                self.python_type,
                value,
                fix="Pass `timedelta(seconds=...)`." if isinstance(value, int | float) else "",
            )
        microseconds = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
        # Seconds and nanoseconds of a protobuf duration have one sign, unlike the parts of a timedelta.
        sign = -1 if microseconds < 0 else 1
        seconds, rest = divmod(abs(microseconds), 1_000_000)
        duration = literal.scalar.primitive.duration
        duration.SetInParent()
        duration.seconds = sign * seconds
        duration.nanos = sign * rest * 1_000

    def read(self, literal: Literal) -> Any:
        primitive = literal.scalar.primitive
        if not primitive.HasField("duration"):
            return self.read_other(literal)
        duration = primitive.duration
        try:
            return timedelta(seconds=duration.seconds, microseconds=int(duration.nanos / 1_000))
        except OverflowError as error:
            raise unreadable(literal, self.python_type) from error

    def read_plain(self, plain: Any) -> timedelta:
        return timedelta(seconds=plain)


class NoneConverter(PlainConverter):
    name = "none"
    python_type = value_type = type(None)

    def build_literal_type(self) -> LiteralType:
        return LiteralType(simple=SimpleType.NONE)

    def write(self, value: Any, literal: Literal) -> None:
        if value is not None:
            raise mismatch(type(None), value)
        literal.scalar.none_type.SetInParent()

    def read(self, literal: Literal) -> None:
        if not literal.scalar.HasField("none_type"):
            self.read_other(literal)

    def read_plain(self, plain: Any) -> None:
        if plain is not None:
            raise mismatch(type(None), plain)


def _number_fix(value: Any, wanted: str) -> str:
    """How to turn another kind of number, numpy's included, into the one that is wanted."""
    if isinstance(value, int | float) or hasattr(value, "__index__") or hasattr(value, "__float__"):
        return f"Pass `{wanted}(...)` of it."
    return ""


def _write_moment(moment: datetime, literal: Literal) -> None:
    since_epoch = moment - EPOCH
    timestamp = literal.scalar.primitive.datetime
    timestamp.SetInParent()
    timestamp.seconds = since_epoch.days * 86_400 + since_epoch.seconds
    timestamp.nanos = since_epoch.microseconds * 1_000


def _read_moment(literal: Literal, python_type: type) -> datetime:
    timestamp = literal.scalar.primitive.datetime
    try:
        return EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1_000)
    except OverflowError as error:
        raise unreadable(literal, python_type) from error
