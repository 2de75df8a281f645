"""numpy arrays between tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import flyte
from flyte import _faults
from flyte.errors import DataNotFoundError, StorageError, WrongKindOfDataError
from flyte.io._content import INLINE_BYTES
from flyte.storage._settings import use_storage
from flyte.types import TypeEngine, TypeTransformerFailedError
from flyte.types._choice import converter_for

if TYPE_CHECKING:
    from tests.s3 import S3Server

CONVERTER = converter_for(np.ndarray)
LARGE = np.arange(300_000, dtype=np.float64)
SOME = np.arange(INLINE_BYTES, dtype=np.int64)

env = flyte.TaskEnvironment(name="arrays")

ARRAYS: dict[str, Any] = {
    "numbers": np.array([1.5, np.nan, -0.0]),
    "no rows": np.zeros((0, 3)),
    "one value": np.array(3),
    "bools": np.array([[True], [False]]),
    "text": np.array(["a", "grüße"]),
    "bytes": np.array([b"a", b"bc"]),
    "big-endian": np.array([1, 2], dtype=">i4"),
    "moments": np.array(["2024-01-01", "NaT"], dtype="datetime64[s]"),
    "durations": np.array([1, 2], dtype="timedelta64[ms]"),
    "complex": np.array([1 + 2j]),
    "half": np.array([1.5], dtype=np.float16),
    "structured": np.array([(1, 2.5, "x")], dtype=[("a", "i4"), ("b", "f8"), ("c", "U2")]),
    "names outside Latin-1": np.array([(1,)], dtype=[("名", "i4")]),
    "objects": np.array([{"k": 1}, None], dtype=object),
    "Fortran order": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "strided": np.arange(20).reshape(4, 5)[::2, ::-1],
    "broadcast": np.broadcast_to(np.array([1, 2]), (3, 2)),
    "large": LARGE,
    "large Fortran order": np.asfortranarray(LARGE.reshape(1000, 300)),
    "large strided": LARGE.reshape(1000, 300)[:, ::2],
    "large structured": np.zeros(100_000, dtype=[("a", "i4"), ("b", "f8")]),
}


@pytest.fixture(autouse=True)
def nothing_configured() -> Iterator[None]:
    yield
    use_storage(None)


def assert_same(read: Any, array: Any) -> None:
    assert type(read) is type(array)
    assert read.dtype == array.dtype
    assert read.shape == array.shape
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("name", ARRAYS)
def test_array_comes_back_as_it_was_and_writable(raw_data: Path, name: str) -> None:
    array = ARRAYS[name]
    literal = CONVERTER.encode(array)
    read = CONVERTER.decode(literal)
    assert_same(read, array)
    assert read.flags.writeable
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        assert read.flags.f_contiguous
    assert CONVERTER.encode(read) == literal


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hnp.arrays(hnp.scalar_dtypes() | hnp.array_dtypes(), hnp.array_shapes(min_dims=0, min_side=0, max_side=4)))
def test_any_array_comes_back_and_keeps_its_hash(raw_data: Path, array: NDArray[Any]) -> None:
    literal = CONVERTER.encode(array)
    read = CONVERTER.decode(literal)
    assert (read.dtype, read.shape, read.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert CONVERTER.encode(read) == literal


def test_literal_type_is_a_file_of_one_array() -> None:
    literal_type = TypeEngine.to_literal_type(np.ndarray)
    assert (literal_type.blob.format, literal_type.blob.dimensionality) == ("npy", 0)
    assert TypeEngine.to_literal_type(NDArray[np.float64]) == literal_type
    assert TypeEngine.guess_python_type(literal_type) is np.ndarray


def test_small_array_is_in_the_literal_and_larger_one_in_a_file_named_by_content(raw_data: Path) -> None:
    small = CONVERTER.encode(np.arange(3))
    assert small.scalar.binary.tag == "npy"
    assert not raw_data.exists()
    large = CONVERTER.encode(SOME)
    path = Path(large.scalar.blob.uri)
    assert path.name == "array.npy"
    assert path.parent.parent == raw_data
    assert path.parent.name == large.hash.removeprefix("blake3:")[:32]
    assert large.scalar.blob.metadata.type.format == "npy"
    np.testing.assert_array_equal(np.load(path), SOME)


def test_array_that_numpy_saved_is_read(tmp_path: Path) -> None:
    for array in (SOME, LARGE):
        np.save(tmp_path / "x.npy", array)
        literal = TypeEngine.to_literal_type(np.ndarray)
        stored = converter_for(np.ndarray).encode(np.arange(1))
        stored.Clear()
        stored.scalar.blob.uri = str(tmp_path / "x.npy")
        stored.scalar.blob.metadata.type.CopyFrom(literal.blob)
        assert_same(CONVERTER.decode(stored), array)


def test_equal_array_is_written_once(raw_data: Path) -> None:
    first = CONVERTER.encode(LARGE)
    os.utime(first.scalar.blob.uri, ns=(1, 1))
    assert CONVERTER.encode(LARGE.copy()) == first
    assert Path(first.scalar.blob.uri).stat().st_mtime_ns == 1


@pytest.mark.parametrize("other", [LARGE + 1, LARGE.astype(np.float32), LARGE.reshape(-1, 1), LARGE[:-1]])
def test_arrays_that_differ_have_hashes_that_do(raw_data: Path, other: NDArray[Any]) -> None:
    assert CONVERTER.encode(other).hash != CONVERTER.encode(LARGE).hash


def test_changing_a_mapped_array_changes_no_file_and_no_other_array(raw_data: Path) -> None:
    literal = CONVERTER.encode(LARGE)
    one, other = CONVERTER.decode(literal), CONVERTER.decode(literal)
    assert type(one) is np.ndarray
    one[:] = -1
    np.testing.assert_array_equal(other, LARGE)
    np.testing.assert_array_equal(CONVERTER.decode(literal), LARGE)
    assert CONVERTER.encode(one) != literal


def test_memory_map_is_taken_as_the_array_it_is(raw_data: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", LARGE)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert CONVERTER.encode(mapped) == CONVERTER.encode(LARGE)


def test_subclass_keeps_what_it_has_more(raw_data: Path) -> None:
    masked = np.ma.masked_array([1, 2], mask=[True, False])
    read = CONVERTER.decode(CONVERTER.encode(masked))
    assert isinstance(read, np.ma.MaskedArray)
    assert read.mask.tolist() == [True, False]
    own = converter_for(np.ma.MaskedArray)
    assert isinstance(own.decode(own.encode(masked)), np.ma.MaskedArray)
    with pytest.raises(TypeTransformerFailedError):
        own.encode(np.arange(2))


def test_array_in_containers_and_unions(raw_data: Path) -> None:
    for annotation, value in (
        (list[np.ndarray], [SOME, np.arange(2)]),
        (dict[str, np.ndarray], {"k": SOME}),
        (Optional[np.ndarray], SOME),
    ):
        converter = converter_for(annotation)
        np.testing.assert_equal(converter.decode(converter.encode(value)), value)
    assert converter_for(Optional[np.ndarray]).decode(converter_for(Optional[np.ndarray]).encode(None)) is None


@pytest.mark.parametrize("value", [[1, 2], 3, None, np.float64(1)])
def test_value_that_is_no_array_is_refused_with_the_fix(value: Any) -> None:
    with pytest.raises(TypeTransformerFailedError, match="Expected value of type") as raised:
        CONVERTER.encode(value)
    assert "numpy.asarray" in raised.value.fix


def blob(path: Path) -> Any:
    literal = CONVERTER.encode(np.arange(1))
    literal.Clear()
    literal.scalar.blob.uri = str(path)
    literal.scalar.blob.metadata.type.format = "npy"
    return literal


@pytest.mark.parametrize("size", [0, 5, 3 << 20])
def test_file_that_is_no_array_is_named(tmp_path: Path, size: int) -> None:
    (tmp_path / "x.npy").write_bytes(b"x" * size)
    with pytest.raises(WrongKindOfDataError, match="as a numpy array.*run its task again") as raised:
        CONVERTER.decode(blob(tmp_path / "x.npy"))
    assert raised.value.address == str(tmp_path / "x.npy")


@pytest.mark.parametrize("array", [SOME, LARGE])
def test_truncated_array_is_named(tmp_path: Path, array: NDArray[Any]) -> None:
    np.save(tmp_path / "x.npy", array)
    os.truncate(tmp_path / "x.npy", (tmp_path / "x.npy").stat().st_size - 8)
    with pytest.raises(WrongKindOfDataError, match="truncated"):
        CONVERTER.decode(blob(tmp_path / "x.npy"))


def test_archives_and_pickles_in_a_file_are_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=SOME)
    with pytest.raises(WrongKindOfDataError, match="archive of several"):
        CONVERTER.decode(blob(tmp_path / "x.npz"))
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(WrongKindOfDataError, match="allow_pickle"):
        CONVERTER.decode(blob(tmp_path / "x.npy"))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"none.npy: there is nothing there"):
        CONVERTER.decode(blob(tmp_path / "none.npy"))


def test_literal_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeTransformerFailedError, match="Cannot convert literal"):
        CONVERTER.decode(converter_for(int).encode(3))


@pytest.mark.parametrize("point", ["data.before_write", "data.written"])
def test_full_disk_leaves_nothing(raw_data: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    monkeypatch.setattr(_faults, "_fault", _faults.Fault(f"{point}:{_faults.ENOSPC}"))
    with pytest.raises(StorageError, match="the disk is full"):
        CONVERTER.encode(LARGE)
    assert [path for path in raw_data.rglob("*") if path.is_file()] == []


@env.task
async def make() -> np.ndarray:
    return LARGE


@env.task
async def spoil(array: np.ndarray) -> float:
    array[0] = -1
    return float(array[0])


@env.task
def mean(array: NDArray[np.float64]) -> float:
    return float(array.mean())


@env.task
async def main() -> tuple[float, float, float]:
    array = await make()
    return await spoil(array), await mean.aio(array), await mean.aio(np.ones(3))


@pytest.mark.parametrize("protocol", ["file", "s3"])
def test_tasks_exchange_arrays_and_each_gets_its_own(request: pytest.FixtureRequest, protocol: str) -> None:
    runner = flyte.with_runcontext()
    if protocol == "s3":
        from tests.s3 import settings as reached

        server: S3Server = request.getfixturevalue("s3")
        bucket = server.new_bucket()
        use_storage(reached(server.url))
        runner = flyte.with_runcontext(raw_data_path=f"s3://{bucket}/raw")
    assert runner.run(main).outputs() == (-1.0, LARGE.mean(), 1.0)
    if protocol == "s3":
        assert len(server.keys(bucket)) == 1


computed: list[int] = []


@env.task(cache="auto")
async def counted(array: np.ndarray) -> int:
    computed.append(1)
    return len(array)


def test_equal_array_hits_the_cache_in_another_run() -> None:
    computed.clear()
    for array in (LARGE, LARGE.copy(), np.arange(3), np.arange(3)):
        flyte.run(counted, array)
    assert len(computed) == 2
