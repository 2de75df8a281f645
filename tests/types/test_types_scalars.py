"""Numbers, text, truth values, times and None: their bytes, and what is refused."""

from __future__ import annotations

import datetime as dt
import enum
from typing import Any, Dict, List, Optional

import pytest
from flyteidl2.core.literals_pb2 import Literal

from flyte.types import TypeTransformerFailedError
from flyte.types._choice import converter_for

UTC = dt.UTC


class Kilo(int):
    pass


class Name(str):
    pass


class Level(enum.IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    ("annotation", "literal_type"),
    [
        (int, "0801"),
        (float, "0802"),
        (str, "0803"),
        (bool, "0804"),
        (dt.datetime, "0805"),
        (dt.date, "0805"),
        (dt.timedelta, "0806"),
        (type(None), "0800"),
        (List[int], "1a020801"),
        (Dict[str, int], "22020801"),
        (Optional[int], "52170a0908015a050a03696e740a0a08005a060a046e6f6e65"),
    ],
)
def test_literal_type_has_the_bytes_of_the_format(annotation: Any, literal_type: str) -> None:
    assert converter_for(annotation).literal_type.SerializeToString(deterministic=True).hex() == literal_type


@pytest.mark.parametrize(
    ("annotation", "value", "wire"),
    [
        (int, 3, "0a040a020803"),
        (int, 0, "0a040a020800"),
        (float, 1.5, "0a0b0a0911000000000000f83f"),
        (str, "a", "0a050a031a0161"),
        (bool, True, "0a040a022001"),
        (bool, False, "0a040a022000"),
        (type(None), None, "0a022a00"),
        (dt.datetime, dt.datetime(2024, 1, 2, tzinfo=UTC), "0a0a0a082a060880a4cdac06"),
        (dt.timedelta, dt.timedelta(seconds=90), "0a060a043202085a"),
        (List[int], [1, 2], "12100a060a040a0208010a060a040a020802"),
        (Dict[str, int], {"a": 1}, "1a0d0a0b0a016112060a040a020801"),
        (dict, {"b": 1}, "0a111a0f0a0481a1620112076d73677061636b"),
        (Optional[int], 5, "0a154a130a060a040a020805120908015a050a03696e74"),
        (Optional[int], None, "0a144a120a040a022a00120a08005a060a046e6f6e65"),
    ],
)
def test_literal_has_the_bytes_of_the_format(annotation: Any, value: Any, wire: str) -> None:
    converter = converter_for(annotation)
    assert converter.encode(value).SerializeToString(deterministic=True).hex() == wire
    assert converter.decode(Literal.FromString(bytes.fromhex(wire))) == value


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, 1.0, "Expected value of type <class 'int'> but got '1.0' of type <class 'float'>"),
        (int, "1", "Expected value of type <class 'int'> but got '1' of type <class 'str'>"),
        (int, None, "Expected value of type <class 'int'> but got 'None' of type <class 'NoneType'>"),
        (int, True, "Expected value of type <class 'int'> but got 'True' of type <class 'bool'>"),
        (int, 2**63, "Value out of range: 9223372036854775808"),
        (int, -(2**63) - 1, "Value out of range: -9223372036854775809"),
        (float, 1, "Expected value of type <class 'float'> but got '1' of type <class 'int'>"),
        (float, True, "Expected value of type <class 'float'> but got 'True' of type <class 'bool'>"),
        (float, "1.0", "Expected value of type <class 'float'> but got '1.0' of type <class 'str'>"),
        (str, 1, "Expected value of type <class 'str'> but got '1' of type <class 'int'>"),
        (str, "\ud800", "cannot be encoded as UTF-8"),
        (bool, 1, "Expected value of type <class 'bool'> but got '1' of type <class 'int'>"),
        (dt.datetime, dt.date(2024, 1, 1), "but got '2024-01-01' of type <class 'datetime.date'>"),
        (dt.date, "2024-01-01", "but got '2024-01-01' of type <class 'str'>"),
        (dt.timedelta, 90, "but got '90' of type <class 'int'>"),
        (type(None), 0, "Expected value of type <class 'NoneType'> but got '0' of type <class 'int'>"),
    ],
)
def test_value_of_another_type_is_refused_with_both_types(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(TypeTransformerFailedError, match=message.replace("(", r"\(")):
        converter_for(annotation).encode(value)
    with pytest.raises(TypeTransformerFailedError):
        converter_for(annotation).check(value)


@pytest.mark.parametrize(
    ("annotation", "value", "fix"),
    [
        (int, True, "Annotate `bool`, or pass `int(...)` of it."),
        (int, 2.0, "Pass `int(...)` of it."),
        (float, 1, "Pass `float(...)` of it."),
        (str, 1, "Pass `str(...)` of it."),
        (bool, 1, "Pass `bool(...)` of it."),
        (dt.datetime, dt.date(2024, 1, 1), "Pass a datetime, or annotate `datetime.date`."),
        (dt.timedelta, 3.5, "Pass `timedelta(seconds=...)`."),
    ],
)
def test_mismatch_says_how_to_fix_it(annotation: Any, value: Any, fix: str) -> None:
    with pytest.raises(TypeTransformerFailedError) as caught:
        converter_for(annotation).encode(value)
    assert caught.value.fix == fix


def test_moment_without_zone_is_utc_and_every_moment_comes_back_in_utc() -> None:
    converter = converter_for(dt.datetime)
    naive = dt.datetime(2024, 1, 2, 3, 4, 5, 678)
    assert converter.decode(converter.encode(naive)) == naive.replace(tzinfo=UTC)
    in_rome = naive.replace(tzinfo=dt.timezone(dt.timedelta(hours=2)))
    back = converter.decode(converter.encode(in_rome))
    assert back == in_rome
    assert back.tzinfo is UTC


@pytest.mark.parametrize("moment", [dt.datetime.min, dt.datetime.max, dt.datetime(1969, 12, 31, 23, 59, 59, 999_999)])
def test_moments_far_from_the_epoch_keep_their_microseconds(moment: dt.datetime) -> None:
    converter = converter_for(dt.datetime)
    assert converter.decode(converter.encode(moment)) == moment.replace(tzinfo=UTC)


def test_datetime_given_for_a_date_is_taken_for_its_day() -> None:
    converter = converter_for(dt.date)
    assert converter.decode(converter.encode(dt.datetime(2024, 1, 2, 23, 59))) == dt.date(2024, 1, 2)


@pytest.mark.parametrize("span", [dt.timedelta.min, dt.timedelta.max, dt.timedelta(microseconds=-1)])
def test_spans_of_both_signs_keep_their_microseconds(span: dt.timedelta) -> None:
    converter = converter_for(dt.timedelta)
    duration = converter.encode(span).scalar.primitive.duration
    assert duration.seconds * duration.nanos >= 0
    assert converter.decode(converter.encode(span)) == span


def test_nan_stays_nan() -> None:
    converter = converter_for(float)
    assert str(converter.decode(converter.encode(float("nan")))) == "nan"


@pytest.mark.parametrize(("annotation", "value"), [(Kilo, Kilo(3)), (Name, Name("x"))])
def test_subclass_of_a_scalar_comes_back_as_itself(annotation: Any, value: Any) -> None:
    converter = converter_for(annotation)
    back = converter.decode(converter.encode(value))
    assert (type(back), back) == (annotation, value)
    with pytest.raises(TypeTransformerFailedError):
        converter.encode(annotation.__base__(value))


def test_instance_of_a_subclass_passes_for_the_scalar() -> None:
    assert converter_for(int).decode(converter_for(int).encode(Level.LOW)) == 1
    assert converter_for(str).decode(converter_for(str).encode(Name("x"))) == "x"


def test_numpy_float64_is_a_float_and_other_numpy_numbers_are_refused_with_the_fix() -> None:
    numpy = pytest.importorskip("numpy")
    assert converter_for(float).decode(converter_for(float).encode(numpy.float64(1.5))) == 1.5
    for annotation, value in ((int, numpy.int64(1)), (float, numpy.float32(1))):
        with pytest.raises(TypeTransformerFailedError) as caught:
            converter_for(annotation).encode(value)
        assert caught.value.fix == f"Pass `{annotation.__name__}(...)` of it."


def test_none_as_an_annotation_means_none() -> None:
    assert converter_for(None).decode(converter_for(None).encode(None)) is None
