"""`flyte.io.DataFrame`: a table by reference, or one that is still in memory."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Dict, List, Mapping, Optional, Type, Union, cast

from flyteidl2.core.literals_pb2 import StructuredDataset, StructuredDatasetMetadata
from flyteidl2.core.types_pb2 import LiteralType, StructuredDatasetType
from mashumaro.types import SerializableType
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationInfo, model_serializer, model_validator

from flyte.io._frames.notes import FrameNotes, is_hash_method
from flyte.types._failure import TypeTransformerFailedError, short_repr, type_text

if TYPE_CHECKING:
    from flyte.io._hashing import HashMethod


class DataFrame(BaseModel, SerializableType):
    """A table somewhere in storage, or a frame in memory that is stored when a task takes or returns it.

    Tasks pass it around without reading it. `open(pandas.DataFrame).all()` reads it, as a frame of any library,
    whichever wrote it.

    Attributes:
        uri: Folder or file that holds the table; None for a frame that is not stored yet.
        format: Such as `parquet` or `csv`; empty where the name of the file says it.
        hash: Stands for the table in cache keys; None where its address does.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "description": "A table at an address.",
            "x-flyte-type": "dataframe",
        }
    )

    stores_data: ClassVar[bool] = True

    uri: Optional[str] = None
    format: Optional[str] = ""
    hash: Optional[str] = None

    _val: Any = PrivateAttr(default=None)
    _target: Optional[str] = PrivateAttr(default=None)
    _hash_method: Any = PrivateAttr(default=None)
    _fingerprint: Optional[str] = PrivateAttr(default=None)
    _literal: Optional[StructuredDataset] = PrivateAttr(default=None)
    _type: StructuredDatasetType = PrivateAttr(default_factory=StructuredDatasetType)
    _opened_as: Any = PrivateAttr(default=None)
    _is_lazy: bool = PrivateAttr(default=False)

    @classmethod
    async def from_local(
        cls,
        df: Any,
        columns: Optional[OrderedDict[str, type[Any]]] = None,
        remote_destination: Optional[str] = None,
        hash_method: Union[HashMethod, str, None] = None,
    ) -> DataFrame:
        """Wrap a frame; it is stored when a task takes or returns it, or at `set_literal`.

        Args:
            df: Of pandas, polars or pyarrow, or of a class with an encoder.
            columns: Names and types of the columns that readers are to get; None for all.
            remote_destination: Folder to store it in; default one below the raw data path, named by its content.
            hash_method: What stands for it in cache keys: a text, or what makes one of the frame. Default a fingerprint
                of the content.

        Raises:
            TypeTransformerFailedError: nothing here can write such a frame.
        """
        return cls._wrapped(df, columns, remote_destination, hash_method)

    @classmethod
    def from_local_sync(
        cls,
        df: Any,
        columns: Optional[OrderedDict[str, type[Any]]] = None,
        remote_destination: Optional[str] = None,
        hash_method: Union[HashMethod, str, None] = None,
    ) -> DataFrame:
        """`from_local`, blocking."""
        return cls._wrapped(df, columns, remote_destination, hash_method)

    @classmethod
    def from_df(cls, val: Optional[Any] = None, uri: Optional[str] = None) -> DataFrame:
        """`wrap_df` by another name."""
        return cls.wrap_df(val, uri)

    @classmethod
    def wrap_df(cls, val: Optional[Any] = None, uri: Optional[str] = None) -> DataFrame:
        """Wrap a frame; nothing is stored yet.

        Args:
            val: The frame; None for one that is at `uri` already.
            uri: Folder to store it in.

        Raises:
            TypeTransformerFailedError: nothing here can write such a frame.
        """
        return cls._wrapped(val, None, uri, None) if val is not None else cls(uri=uri)

    @classmethod
    def from_existing_remote(cls, remote_path: str, format: Optional[str] = None, **kwargs: Any) -> DataFrame:
        """A table that is in storage already; nothing is read or copied.

        Args:
            remote_path: Address of a file, or of a folder of files with the same columns.
            format: Default what the name says: CSV for `.csv`, else Parquet.
            kwargs: Further fields, such as `hash`.
        """
        return cls(uri=remote_path, format=format or "", **kwargs)

    @classmethod
    def _wrapped(
        cls, frame: Any, columns: Optional[Mapping[str, Any]], uri: Optional[str], hashed_by: Any
    ) -> DataFrame:
        from flyte._context import ctx
        from flyte.io._frames.encoding import check_writable

        check_writable(frame)
        if hashed_by is not None and not isinstance(hashed_by, str) and not is_hash_method(hashed_by):
            raise TypeError(
                f"hash_method is {short_repr(hashed_by)}: expected a text, or HashFunction.from_fn(function)."
            )
        wrapped = cls(uri=uri, hash=hashed_by if isinstance(hashed_by, str) else None)
        wrapped._val = frame
        wrapped._target = uri
        wrapped._hash_method = hashed_by
        wrapped._type = FrameNotes(columns=columns or {}).structured_type()
        wrapped._is_lazy = not ctx()
        return wrapped

    @classmethod
    def columns(cls) -> Dict[str, Type[Any]]:
        """No columns: those of an annotation are in its literal type."""
        return {}

    @classmethod
    def column_names(cls) -> List[str]:
        """The names of `columns`."""
        return list(cls.columns())

    @classmethod
    def schema_match(cls, incoming: Dict[str, Any]) -> bool:
        """Whether a JSON schema is the one of this class."""
        own = cls.model_json_schema()
        return all(incoming.get(key) == own[key] for key in ("type", "title")) and set(
            incoming.get("properties", {})
        ) == set(own["properties"])

    @property
    def val(self) -> Any:
        """The wrapped frame; None for a table in storage."""
        return self._val

    @property
    def metadata(self) -> Optional[StructuredDatasetMetadata]:
        """Columns and format as a message; None for what is nothing but an address."""
        if self._literal is not None:
            return cast(StructuredDatasetMetadata, self._literal.metadata)
        if self._val is None:
            return None
        return StructuredDatasetMetadata(structured_dataset_type=self._type)

    @property
    def literal(self) -> Optional[StructuredDataset]:
        """Where it is stored, as a message; None while it is not."""
        return self._literal

    @property
    def lazy_uploader(self) -> Optional[Callable[[], Awaitable[DataFrame]]]:
        """What stores a frame that was wrapped outside a task, when the time comes; None for any other."""
        return self._upload if self._is_lazy and self._literal is None else None

    async def _upload(self) -> DataFrame:
        await self.set_literal(LiteralType(structured_dataset_type=self._type))
        return self

    async def set_literal(self, expected: LiteralType) -> None:
        """Store the wrapped frame now: `literal`, `uri` and `format` say where it is.

        Args:
            expected: Literal type of the annotation, with columns and format.

        Raises:
            TypeTransformerFailedError: it cannot be stored.
            NotInTaskContextError: it has no address of its own, and no task is running here.
        """
        from flyte.io._frames.encoding import store

        await asyncio.to_thread(store, self, expected.structured_dataset_type)

    def open(self, dataframe_type: Any) -> DataFrame:
        """Choose the class to read it as; returns itself.

        Args:
            dataframe_type: `pandas.DataFrame`, `polars.DataFrame`, `polars.LazyFrame`, `pyarrow.Table`, or a class with
                a decoder; in `Annotated` with columns, those alone are read.
        """
        self._opened_as = dataframe_type
        return self

    async def all(self) -> Any:
        """The whole table, as the class that `open` was given.

        Raises:
            ValueError: `open` was not called.
            StorageError: it cannot be read, or lacks a column.
            TypeTransformerFailedError: nothing here reads such a class.
        """
        return await asyncio.to_thread(self.all_sync)

    def all_sync(self) -> Any:
        """`all`, blocking."""
        from flyte.io._frames.decoding import load

        return load(self, self._chosen())

    async def iter(self) -> AsyncIterator[Any]:
        """The table part by part, so that it need not fit into memory.

        Raises:
            ValueError: `open` was not called.
            StorageError: it cannot be read, or lacks a column.
            TypeTransformerFailedError: the decoder gives no parts.
        """
        from flyte.io._frames.decoding import parts

        async for part in parts(self, self._chosen()):
            yield part

    def _chosen(self) -> Any:
        if self._opened_as is None:
            raise ValueError("No class to read the table as. Call open(pandas.DataFrame), or of another class, first.")
        return self._opened_as

    def _stored(self) -> StructuredDataset:
        """Where it is stored, as a message: the wrapped frame is stored first."""
        from flyte.io._frames.encoding import store

        if self._val is not None:
            return store(self, StructuredDatasetType())
        if self._literal is not None:
            return self._literal
        if not self.uri:
            raise TypeTransformerFailedError(
                "the DataFrame holds neither a frame nor an address",
                fix="Wrap a frame with DataFrame.from_df(frame), or pass DataFrame.from_existing_remote(uri).",
            )
        stored = StructuredDatasetType(format=self.format or "")
        return StructuredDataset(uri=self.uri, metadata=StructuredDatasetMetadata(structured_dataset_type=stored))

    @model_serializer
    def serialize_dataframe(self) -> Dict[str, Optional[str]]:
        """Address and format; a wrapped frame is stored first."""
        stored = self._stored() if self._val is not None else None
        if stored is not None:
            return {"uri": stored.uri, "format": stored.metadata.structured_dataset_type.format}
        return {"uri": self.uri, "format": self.format}

    @model_validator(mode="after")
    def deserialize_dataframe(self, info: ValidationInfo) -> DataFrame:
        """As it was before it became data, where the context of the validation says that it comes from a task."""
        if info.context and info.context.get("deserialize") and self.uri and self._literal is None:
            self._literal = self._stored()
        return self

    def _serialize(self) -> Dict[str, Optional[str]]:
        return self.serialize_dataframe()

    @classmethod
    def _deserialize(cls, value: Any) -> DataFrame:
        return cls.model_validate(value, context={"deserialize": True})

    def __deepcopy__(self, memo: Optional[Dict[int, Any]] = None) -> DataFrame:
        # The frame of another library stays one; only what is ours is copied.
        copied = self.model_copy()
        copied._type = StructuredDatasetType()
        copied._type.CopyFrom(self._type)
        return copied

    def __repr__(self) -> str:
        held = f", holding a {type_text(type(self._val))}" if self._val is not None else ""
        return f"DataFrame(uri={self.uri!r}, format={self.format!r}, hash={self.hash!r}{held})"

    __str__ = __repr__
