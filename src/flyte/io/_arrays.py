"""`numpy.ndarray` as inputs and outputs: `.npy` files, named by their content."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import LiteralType

from flyte.io._content import INLINE_BYTES, content_type, digest_of, fill_inline, fill_with_file, is_pickle, not_content
from flyte.storage._addresses import is_remote, local_path, rewritten
from flyte.storage._backend import backend_of
from flyte.storage._failures import data_errors, not_found
from flyte.storage._trailing import write_all
from flyte.types._converter import Converter
from flyte.types._failure import mismatch, unreadable
from flyte.types._pickles import PickleConverter

FORMAT = "npy"
_FILE_NAME = "array.npy"
_MAPPED_BYTES = 1 << 20
"""Larger local files are mapped into memory, smaller ones read: a map costs more than it saves there."""


class ArrayConverter(Converter):
    """Arrays of any shape, order and dtype; those of Python objects, and subclasses, are pickled."""

    name = "numpy.ndarray"
    blocking = True

    def __init__(self, python_type: Any) -> None:
        import numpy

        self.python_type = python_type
        self._class = python_type if isinstance(python_type, type) else numpy.ndarray
        self.value_type = self._class
        self._pickles = PickleConverter(python_type)

    def build_literal_type(self) -> LiteralType:
        return content_type(FORMAT)

    def check(self, value: Any) -> None:
        if not isinstance(value, self._class):
            raise mismatch(self.python_type, value, fix="Pass `numpy.asarray(...)` of it.")

    def write(self, value: Any, literal: Literal) -> None:
        import numpy

        self.check(value)
        if type(value) is numpy.memmap:
            value = value.view(numpy.ndarray)
        parts = None if type(value) is not numpy.ndarray or value.dtype.hasobject else _parts(value)
        if parts is None:
            self._pickles.write(value, literal)
            return
        header, data = parts
        digest = digest_of((header, data))
        if len(header) + data.nbytes <= INLINE_BYTES:
            fill_inline(literal, FORMAT, header + data, digest)
            return

        def write_parts(path: Path) -> None:
            with path.open("xb", buffering=0) as file:
                write_all(file.fileno(), (header, data))

        fill_with_file(literal, FORMAT, _FILE_NAME, digest, write_parts)

    def read(self, literal: Literal) -> Any:
        scalar = literal.scalar
        if is_pickle(literal):
            return self._pickles.read(literal)
        if scalar.HasField("binary") and scalar.binary.tag == FORMAT:
            return _loaded(io.BytesIO(scalar.binary.value), "the literal")
        if scalar.HasField("blob"):
            return read_array(rewritten(scalar.blob.uri))
        raise unreadable(literal, self.python_type)


def read_array(address: str) -> Any:
    """The array in an `.npy` file, which is the caller's own: to change it changes no file, and nobody else's array.

    A large local file is mapped, so that what is not looked at is not read.

    Raises:
        StorageError: it cannot be read, or holds no array.
    """
    import numpy

    if is_remote(address):
        return _loaded(io.BytesIO(backend_of(address).read(address)), address)
    found = backend_of(address).find(address)
    if found is None:
        raise not_found(address, "read")
    path = local_path(address)
    with data_errors(address, "read"):
        if found.size < _MAPPED_BYTES:
            with path.open("rb") as file:
                return _loaded(file, address)
        try:
            # Private pages: a write to the array copies the page it hits.
            return numpy.load(path, mmap_mode="c", allow_pickle=False).view(numpy.ndarray)
        except (ValueError, EOFError, SyntaxError) as error:
            raise not_content(address, "a numpy array", error) from error


def _parts(array: Any) -> tuple[bytes, memoryview] | None:
    """The header of the `.npy` file of an array, and its data, on the memory of the array where that is contiguous.

    None for an array that such a file cannot hold, such as one with field names outside Latin-1.
    """
    import numpy

    in_fortran_order = array.flags.f_contiguous and not array.flags.c_contiguous
    flat = array.T if in_fortran_order else numpy.ascontiguousarray(array)
    description = {**numpy.lib.format.header_data_from_array_1_0(array), "fortran_order": in_fortran_order}
    for write_header in (numpy.lib.format.write_array_header_1_0, numpy.lib.format.write_array_header_2_0):
        head = io.BytesIO()
        try:
            write_header(head, description)
        except ValueError:  # too long for the version, or not Latin-1
            continue
        data: Any = flat.reshape(-1).view("u1")
        return head.getvalue(), memoryview(data)
    return None


def _loaded(file: Any, where: str) -> Any:
    import numpy

    try:
        array = numpy.load(file, allow_pickle=False)
    except (ValueError, EOFError, SyntaxError) as error:
        raise not_content(where, "a numpy array", error) from error
    if not isinstance(array, numpy.ndarray):
        raise not_content(where, "a numpy array", ValueError("it is an archive of several arrays"))
    return array
