"""`torch.Tensor` as inputs and outputs: safetensors files, named by their content."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import LiteralType

from flyte.io._content import INLINE_BYTES, content_type, digest_of, fill_inline, fill_with_file, is_pickle, not_content
from flyte.io._frames.libraries import require
from flyte.storage._addresses import is_remote, local_path, rewritten
from flyte.storage._backend import backend_of
from flyte.storage._failures import not_found
from flyte.types._converter import Converter
from flyte.types._failure import mismatch, unreadable
from flyte.types._pickles import PickleConverter

FORMAT = "safetensors"
_FILE_NAME = "tensor.safetensors"
_KEY = "tensor"


class TensorConverter(Converter):
    """Dense tensors: their numbers, shape and dtype, on the CPU, without gradients.

    Sparse and quantized tensors, dtypes that safetensors lacks, and subclasses are pickled.
    """

    name = "torch.Tensor"
    blocking = True

    def __init__(self, python_type: Any) -> None:
        import torch

        require("safetensors", "torch.Tensor as an input or output")
        self.python_type = python_type
        self._class = python_type if isinstance(python_type, type) else torch.Tensor
        self.value_type = self._class
        self._pickles = PickleConverter(python_type)

    def build_literal_type(self) -> LiteralType:
        return content_type(FORMAT)

    def check(self, value: Any) -> None:
        if not isinstance(value, self._class):
            raise mismatch(self.python_type, value, fix="Pass `torch.as_tensor(...)` of it.")

    def write(self, value: Any, literal: Literal) -> None:
        self.check(value)
        if not _is_plain(value):
            self._pickles.write(value, literal)
            return
        from safetensors.torch import save, save_file

        tensor = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
        digest = digest_of((f"{tensor.dtype}{list(tensor.shape)}".encode(), _bytes_of(tensor)))
        if tensor.nbytes <= INLINE_BYTES:
            fill_inline(literal, FORMAT, save({_KEY: tensor}), digest)
            return

        def write_file(path: Path) -> None:
            save_file({_KEY: tensor}, path)

        fill_with_file(literal, FORMAT, _FILE_NAME, digest, write_file)

    def read(self, literal: Literal) -> Any:
        scalar = literal.scalar
        if is_pickle(literal):
            return self._pickles.read(literal)
        if scalar.HasField("binary") and scalar.binary.tag == FORMAT:
            return _from_bytes(scalar.binary.value, "the literal")
        if scalar.HasField("blob"):
            return read_tensor(rewritten(scalar.blob.uri))
        raise unreadable(literal, self.python_type)


def read_tensor(address: str) -> Any:
    """The tensor in a safetensors file that holds one, which is the caller's own.

    Raises:
        StorageError: it cannot be read, or is no such file.
    """
    if is_remote(address):
        return _from_bytes(backend_of(address).read(address), address)
    if backend_of(address).find(address) is None:
        raise not_found(address, "read")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(local_path(address))
    except (SafetensorError, OSError) as error:
        raise not_content(address, "a safetensors file", error) from error
    return _only(tensors, address)


def _from_bytes(content: bytes, where: str) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise not_content(where, "a safetensors file", error) from error
    return _only(tensors, where)


def _only(tensors: dict[str, Any], where: str) -> Any:
    if len(tensors) != 1:
        reason = f"it holds {len(tensors)} tensors ({', '.join(sorted(tensors)[:6])}), not one"
        raise not_content(where, "one tensor", ValueError(reason))
    return next(iter(tensors.values()))


def _is_plain(tensor: Any) -> bool:
    import torch

    return type(tensor) is torch.Tensor and tensor.layout == torch.strided and tensor.dtype in _dtypes()


def _dtypes() -> frozenset[Any]:
    """The dtypes that safetensors has."""
    import torch

    names = "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64"
    return frozenset(getattr(torch, name) for name in names.split() if hasattr(torch, name))


def _bytes_of(tensor: Any) -> memoryview:
    """The memory of a contiguous tensor on the CPU, of any dtype."""
    if not tensor.nbytes:
        return memoryview(b"")
    return memoryview((ctypes.c_ubyte * tensor.nbytes).from_address(tensor.data_ptr())).cast("B")
