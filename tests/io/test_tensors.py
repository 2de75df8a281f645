"""torch tensors between tasks."""

from __future__ import annotations

import os
from pathlib import Path
from types import GenericAlias
from typing import Any, Optional

import pytest

import flyte
from flyte import _faults
from flyte.errors import DataNotFoundError, StorageError, WrongKindOfDataError
from flyte.io._frames import libraries
from flyte.types import TypeEngine, TypeTransformerFailedError
from flyte.types._choice import converter_for

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

Tensor: Any = torch.Tensor
LARGE = torch.arange(100_000, dtype=torch.float32)
env = flyte.TaskEnvironment(name="tensors")

TENSORS: dict[str, Any] = {
    "numbers": torch.tensor([1.5, float("inf")]),
    "no rows": torch.zeros((0, 3)),
    "one value": torch.tensor(3),
    "bools": torch.tensor([[True], [False]]),
    "bfloat16": torch.tensor([1.5], dtype=torch.bfloat16),
    "half": torch.tensor([1.5], dtype=torch.float16),
    "complex": torch.tensor([1 + 2j]),
    "complex128": torch.tensor([1 + 2j], dtype=torch.complex128),
    "conjugate": torch.tensor([1 + 2j]).conj(),
    "bytes": torch.tensor([1, 2], dtype=torch.uint8),
    "strided": torch.arange(20).reshape(4, 5)[::2, 1:],
    "transposed": torch.arange(6).reshape(2, 3).T,
    "expanded": torch.tensor([1, 2]).expand(3, 2),
    "large": LARGE,
    "large strided": LARGE.reshape(1000, 100)[:, ::2],
    "large bfloat16": LARGE.to(torch.bfloat16),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensor_comes_back_as_it_was_and_writable(raw_data: Path, name: str) -> None:
    tensor = TENSORS[name]
    converter = converter_for(torch.Tensor)
    literal = converter.encode(tensor)
    read = converter.decode(literal)
    assert type(read) is torch.Tensor
    assert read.dtype == tensor.dtype
    assert torch.equal(read, tensor)
    if name != "complex128":
        assert literal.hash.startswith("blake3:")
        assert converter.encode(read) == literal
    if read.numel():
        read.view(-1)[0] = 0
        assert torch.equal(converter.decode(literal), tensor)


def test_small_tensor_is_in_the_literal_and_larger_one_in_a_file_named_by_content(raw_data: Path) -> None:
    from safetensors.torch import load_file

    converter = converter_for(torch.Tensor)
    small = converter.encode(torch.ones(3))
    assert small.scalar.binary.tag == "safetensors"
    assert not raw_data.exists()
    large = converter.encode(LARGE)
    path = Path(large.scalar.blob.uri)
    assert path.name == "tensor.safetensors"
    assert path.parent == raw_data / large.hash.removeprefix("blake3:")[:32]
    assert torch.equal(load_file(path)["tensor"], LARGE)
    os.utime(path, ns=(1, 1))
    assert converter.encode(LARGE.clone()) == large
    assert path.stat().st_mtime_ns == 1


def test_gradient_flag_stays_behind(raw_data: Path) -> None:
    converter = converter_for(torch.Tensor)
    read = converter.decode(converter.encode(torch.ones(3, requires_grad=True)))
    assert not read.requires_grad


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_what_safetensors_cannot_hold_is_pickled(raw_data: Path) -> None:
    converter = converter_for(torch.Tensor)
    sparse = converter.decode(converter.encode(torch.eye(3).to_sparse()))
    assert sparse.is_sparse
    quantized = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    assert converter.decode(converter.encode(quantized)).is_quantized
    parameter = torch.nn.Parameter(torch.ones(2))
    assert isinstance(converter.decode(converter.encode(parameter)), torch.nn.Parameter)


def test_literal_type_is_a_file_of_one_tensor() -> None:
    literal_type = TypeEngine.to_literal_type(torch.Tensor)
    assert literal_type.blob.format == "safetensors"
    assert TypeEngine.guess_python_type(literal_type) is torch.Tensor


def test_tensor_in_containers_and_unions(raw_data: Path) -> None:
    listed = converter_for(GenericAlias(list, (Tensor,)))
    assert torch.equal(listed.decode(listed.encode([LARGE]))[0], LARGE)
    optional = converter_for(Optional[torch.Tensor])
    assert torch.equal(optional.decode(optional.encode(LARGE)), LARGE)
    assert optional.decode(optional.encode(None)) is None


@pytest.mark.parametrize("value", [[1.0], 3, None])
def test_value_that_is_no_tensor_is_refused_with_the_fix(value: Any) -> None:
    with pytest.raises(TypeTransformerFailedError, match="Expected value of type") as raised:
        converter_for(torch.Tensor).encode(value)
    assert "torch.as_tensor" in raised.value.fix


def blob(path: Path) -> Any:
    literal = converter_for(torch.Tensor).encode(torch.ones(1))
    literal.Clear()
    literal.scalar.blob.uri = str(path)
    literal.scalar.blob.metadata.type.format = "safetensors"
    return literal


@pytest.mark.parametrize("content", [b"", b"not tensors", b"\xff" * 100])
def test_file_that_is_not_safetensors_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(WrongKindOfDataError, match="as a safetensors file.*run its task again") as raised:
        converter_for(torch.Tensor).decode(blob(tmp_path / "x"))
    assert raised.value.address == str(tmp_path / "x")


def test_truncated_missing_and_crowded_files_are_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    converter = converter_for(torch.Tensor)
    save_file({"a": LARGE}, tmp_path / "a")
    os.truncate(tmp_path / "a", 1000)
    with pytest.raises(WrongKindOfDataError, match="truncated"):
        converter.decode(blob(tmp_path / "a"))
    with pytest.raises(DataNotFoundError, match="there is nothing there"):
        converter.decode(blob(tmp_path / "none"))
    save_file({"a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "two")
    with pytest.raises(WrongKindOfDataError, match=r"holds 2 tensors \(a, b\)"):
        converter.decode(blob(tmp_path / "two"))


@pytest.mark.parametrize("point", ["data.before_write", "data.written"])
def test_full_disk_leaves_nothing(raw_data: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    monkeypatch.setattr(_faults, "_fault", _faults.Fault(f"{point}:{_faults.ENOSPC}"))
    with pytest.raises(StorageError, match="the disk is full"):
        converter_for(torch.Tensor).encode(LARGE)
    assert [path for path in raw_data.rglob("*") if path.is_file()] == []


def test_missing_safetensors_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from flyte.io._tensors import TensorConverter

    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    with pytest.raises(TypeTransformerFailedError, match=r"pip install 'flyte\[torch\]'"):
        TensorConverter(torch.Tensor)


@env.task
async def make() -> Tensor:
    return LARGE


@env.task
async def spoil(tensor: Tensor) -> float:
    tensor[0] = -1
    return float(tensor[0])


@env.task
async def main() -> tuple[float, float]:
    tensor = await make()
    return await spoil(tensor), float(tensor[0])


def test_tasks_exchange_tensors_and_each_gets_its_own() -> None:
    assert flyte.run(main).outputs() == (-1.0, 0.0)
