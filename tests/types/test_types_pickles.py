"""Values of unknown types: pickled inline or to a file, warned about once, and never half written."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Dict, List, Optional, Set

import cloudpickle
import pytest
from flyteidl2.core.literals_pb2 import Literal

from flyte._context import ActionScope, enter_scope, leave_scope
from flyte.models import ActionID, RawDataPath
from flyte.storage._settings import use_storage
from flyte.types import FlytePickle, TypeTransformerFailedError
from flyte.types._choice import converter_for
from tests.s3 import S3Server, settings


class Plain:
    def __init__(self, a: Any) -> None:
        self.a = a

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and other.a == self.a


class Fresh:
    """A type that no other test asks for."""


@pytest.fixture
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


pytestmark = pytest.mark.usefixtures("quiet")


def round_trip(annotation: Any, value: Any) -> Any:
    converter = converter_for(annotation)
    return converter.decode(converter.encode(value))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (bytes, b"abc"),
        (Plain, Plain(3)),
        (Set[int], {3, 1}),
        (list, [1, "a"]),
        (tuple, (1, "a")),
        (type, int),
        (complex, 1j),
        (Path, Path("/x")),
        (List[Plain], [Plain(1), Plain(2)]),
        (Optional[Plain], Plain(1)),
        (Any, None),
        (List[Any], [1, None, "a"]),
        (Dict[str, Any], {"a": None}),
        (inspect.Parameter.empty, None),
    ],
)
def test_value_of_any_type_comes_back_equal(annotation: Any, value: Any) -> None:
    assert round_trip(annotation, value) == value


def test_none_is_refused_where_the_type_says_something_else() -> None:
    with pytest.raises(TypeTransformerFailedError, match=r"Cannot pickle None Value\.") as caught:
        converter_for(bytes).encode(None)
    assert caught.value.fix == "Annotate `Optional[bytes]`."


def test_small_value_is_inline_without_a_tag() -> None:
    scalar = converter_for(bytes).encode(b"abc").scalar
    assert scalar.binary.tag == ""
    assert scalar.binary.value == cloudpickle.dumps(b"abc")


def test_large_value_goes_to_a_file_named_by_its_hash(raw_data: Path) -> None:
    value = b"x" * 20_000
    literal = converter_for(bytes).encode(value)
    blob = literal.scalar.blob
    data = cloudpickle.dumps(value)
    path = Path(blob.uri)
    assert path.read_bytes() == data
    assert path.name == hashlib.md5(data).hexdigest()
    assert path.parent.parent == raw_data
    assert re.fullmatch("[0-9a-f]{32}", path.parent.name)
    assert blob.metadata.type.format == "PythonPickle"
    assert list(path.parent.iterdir()) == [path]
    assert converter_for(bytes).decode(literal) == value


def test_size_of_a_container_is_that_of_its_shell() -> None:
    assert converter_for(list).encode(["x" * 50_000]).scalar.HasField("binary")


def test_large_value_outside_a_run_is_refused() -> None:
    with pytest.raises(TypeTransformerFailedError, match="outside a run there is no raw data path"):
        converter_for(bytes).encode(b"x" * 20_000)


def test_large_value_goes_to_the_store_of_the_raw_data_path(s3: S3Server) -> None:
    bucket = s3.new_bucket()

    class Context:
        raw_data_path = RawDataPath(path=f"s3://{bucket}/raw")
        action = ActionID(name="a0")

    controller: Any = None
    context: Any = Context()
    token = enter_scope(ActionScope("a0", controller, lambda scope: context))
    use_storage(settings(s3.url))
    try:
        converter = converter_for(bytes)
        literal = converter.encode(b"x" * 20_000)
        assert converter.encode(b"x" * 20_000) == literal
        assert [f"s3://{bucket}/{key}" for key in s3.keys(bucket)] == [literal.scalar.blob.uri]
        context.raw_data_path = RawDataPath(path="elsewhere")
        assert converter.decode(literal) == b"x" * 20_000
    finally:
        use_storage(None)
        leave_scope(token)


@pytest.mark.parametrize(
    ("uri", "message"),
    [("/nowhere/at/all", "there is nothing there"), ("zzz://bucket/key", "Protocol not known: zzz")],
)
def test_file_that_cannot_be_read_is_named(uri: str, message: str) -> None:
    literal = Literal()
    literal.scalar.blob.uri = uri
    with pytest.raises(TypeTransformerFailedError, match=f"Cannot read the pickle at {uri}: .*{message}"):
        converter_for(bytes).decode(literal)


def test_value_without_a_pickled_form_is_refused() -> None:
    with pytest.raises(TypeTransformerFailedError, match="Cannot pickle .*generator"):
        converter_for(Any).encode(each for each in "ab")


def test_set_has_a_hash_that_does_not_depend_on_its_order() -> None:
    converter = converter_for(set)
    assert converter.encode({3, 1, 2}).hash == hashlib.md5(cloudpickle.dumps([1, 2, 3])).hexdigest()
    assert converter.encode({8, 0}).hash == converter.encode({0, 8}).hash
    assert converter.encode({1, "a"}).hash == ""


def test_unknown_type_is_warned_about_once_by_name(caplog: pytest.LogCaptureFixture) -> None:
    logging.disable(logging.NOTSET)
    caplog.set_level(logging.WARNING, logger="flyte")
    converter_for(Fresh)
    converter_for(Fresh)
    (record,) = caplog.records
    assert record.name == "flyte"
    assert "Fresh has no transformer: its values travel as pickles" in record.getMessage()


def test_pickle_made_by_hand_is_read_by_hand(raw_data: Path) -> None:
    async def there_and_back() -> Any:
        uri = await FlytePickle.to_pickle(Plain(3))
        assert Path(uri).is_relative_to(raw_data)
        return await FlytePickle.from_pickle(uri)

    assert asyncio.run(there_and_back()) == Plain(3)
