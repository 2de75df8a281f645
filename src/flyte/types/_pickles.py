"""Values of types that nothing here knows: cloudpickle, in the literal while they are small, else in a file."""

from __future__ import annotations

import hashlib
import inspect
import logging
import pickle
import sys
import typing
from typing import Any

from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.core.types_pb2 import BlobType, LiteralType, SimpleType

from flyte.types._converter import Converter
from flyte.types._failure import TypeTransformerFailedError, short_repr, type_text, unreadable

PICKLE_TAG = "FlytePickle"
PICKLE_FORMAT = "PythonPickle"
CLASS_NAME_KEY = "python_class_name"

_MAX_INLINE_BYTES = 10_240
"""By `sys.getsizeof`, as the official release has it: the parts of a container do not count."""

_logger = logging.getLogger("flyte")


class FlytePickle:
    """A value that travels as a pickle; also the type that stands for an unknown one."""

    @classmethod
    def python_type(cls) -> type[Any]:
        """The class inside; not known for FlytePickle itself."""
        return type(None)

    @classmethod
    async def to_pickle(cls, python_val: Any) -> str:
        """Write a value to a file below the raw data path of the running task, and return its path."""
        import asyncio

        return await asyncio.to_thread(dump_file, python_val)

    @classmethod
    async def from_pickle(cls, uri: str) -> Any:
        """Read the value that `to_pickle` wrote to `uri`."""
        import asyncio

        return await asyncio.to_thread(load_file, uri)


class PickleConverter(Converter):
    """Any value at all, as a pickle; its annotation is not checked."""

    name = PICKLE_TAG
    blocking = True
    takes_anything = True

    def __init__(self, python_type: Any) -> None:
        self.python_type = python_type
        self.value_type = python_type if isinstance(python_type, type) else None
        self._takes_none = python_type in (Any, object, inspect.Parameter.empty)

    def build_literal_type(self) -> LiteralType:
        literal_type = LiteralType()
        literal_type.metadata.update({CLASS_NAME_KEY: str(self.python_type)})
        as_file, inline = literal_type.union_type.variants.add(), literal_type.union_type.variants.add()
        as_file.blob.format = PICKLE_FORMAT
        as_file.blob.dimensionality = BlobType.BlobDimensionality.SINGLE
        inline.simple = SimpleType.BINARY
        as_file.structure.tag = inline.structure.tag = PICKLE_TAG
        return literal_type

    def write(self, value: Any, literal: Literal) -> None:
        self.check(value)
        if isinstance(value, set | frozenset) and (digest := _set_hash(value)):
            literal.hash = digest
        if sys.getsizeof(value) > _MAX_INLINE_BYTES:
            blob = literal.scalar.blob
            blob.uri, digest = _store_pickle(value, _dumps(value))
            literal.hash = literal.hash or digest
            blob.metadata.type.format = PICKLE_FORMAT
            blob.metadata.type.dimensionality = BlobType.BlobDimensionality.SINGLE
        else:
            literal.scalar.binary.value = _dumps(value)

    def check(self, value: Any) -> None:
        if value is None and not self._takes_none:
            raise TypeTransformerFailedError(
                "Cannot pickle None Value.", fix=f"Annotate `Optional[{type_text(self.python_type)}]`."
            )

    def read(self, literal: Literal) -> Any:
        scalar = literal.scalar
        if scalar.HasField("blob"):
            return load_file(scalar.blob.uri)
        if scalar.HasField("binary"):
            if scalar.binary.tag:
                raise TypeTransformerFailedError(f"Unsupported binary format `{scalar.binary.tag}`")
            return _loads(scalar.binary.value, "the literal")
        raise unreadable(literal, self.python_type)


class ChoiceConverter(PickleConverter):
    """`Literal[...]` inside another type, or of values other than text: pickled, and checked on both sides."""

    takes_anything = False

    def __init__(self, python_type: Any) -> None:
        super().__init__(python_type)
        self._choices = typing.get_args(python_type)
        self._takes_none = None in self._choices

    def read(self, literal: Literal) -> Any:
        value = super().read(literal)
        self.check(value)
        return value

    def check(self, value: Any) -> None:
        if not any(value == choice and type(value) is type(choice) for choice in self._choices):
            raise TypeTransformerFailedError(f"Value {short_repr(value)} is not one of {list(self._choices)}")


def warn_about_pickle(python_type: Any) -> None:
    """Say that values of a type will be pickled: readable by the same Python and library versions only."""
    _logger.warning(
        "Type %s has no transformer: its values travel as pickles, which other versions of Python or of the libraries "
        "they come from may not read. Register a TypeTransformer for it, or use a dataclass.",
        type_text(python_type),
    )


def dump_file(value: Any) -> str:
    """Pickle a value to a file below the raw data path of the running task, and return its address.

    The file is complete and flushed before it has its name; equal pickles share one.

    Raises:
        TypeTransformerFailedError: there is no running task, or the value has no pickled form.
        StorageError: the file could not be written.
    """
    return _store_pickle(value, _dumps(value))[0]


def _store_pickle(value: Any, data: bytes) -> tuple[str, str]:
    """The address of the pickle of `value`, and its content hash."""
    from flyte._context import ctx
    from flyte.storage._transfer import store_content

    if ctx().raw_data_path is None:
        raise TypeTransformerFailedError(
            f"{short_repr(value)} is too large for a literal, and outside a run there is no raw data path for its file"
        )
    return store_content(data, hashlib.md5(data, usedforsecurity=False).hexdigest())


def load_file(uri: str) -> Any:
    """The value pickled to a file.

    Raises:
        TypeTransformerFailedError: the file is not there, cannot be read, or holds no pickle.
    """
    from flyte.errors import StorageError
    from flyte.storage._addresses import rewritten
    from flyte.storage._backend import backend_of

    address = rewritten(uri)
    try:
        data = backend_of(address).read(address)
    except StorageError as error:
        raise TypeTransformerFailedError(f"Cannot read the pickle at {address}: {error}") from error
    return _loads(data, address)


def _dumps(value: Any) -> bytes:
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(value)
    except Exception as error:  # a pickled object runs its own code
        raise TypeTransformerFailedError(
            f"Cannot pickle {short_repr(value)} of type {type_text(type(value))}: {error}",
            fix="Pass plain data, or register a TypeTransformer for the type.",
        ) from error
    return data


def _loads(data: bytes, where: str) -> Any:
    try:
        return pickle.loads(data)
    except Exception as error:  # so does an unpickled one
        raise TypeTransformerFailedError(
            f"Cannot read the pickle of {len(data)} bytes in {where}: {type(error).__name__}: {error}",
            fix="Read it where the code and the library versions are those that wrote it.",
        ) from error


def _set_hash(value: set[Any] | frozenset[Any]) -> str | None:
    """A hash that does not depend on the order of iteration, for sets whose items can be sorted."""
    try:
        ordered = sorted(value)
    except TypeError:
        return None
    return hashlib.md5(_dumps(ordered), usedforsecurity=False).hexdigest()
