"""`DataFrameTransformerEngine`: where handlers of frames are registered and found, and frames converted by hand."""

from __future__ import annotations

import asyncio
import html
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Optional, Type, Union

from flyteidl2.core.literals_pb2 import Literal, StructuredDataset, StructuredDatasetMetadata
from flyteidl2.core.types_pb2 import LiteralType, StructuredDatasetType

from flyte.io._frames.converter import NAME, FrameConverter
from flyte.io._frames.decoding import decode, decoded_parts
from flyte.io._frames.encoding import fill, store
from flyte.io._frames.handlers import DataFrameDecoder, DataFrameEncoder
from flyte.io._frames.model import DataFrame
from flyte.io._frames.notes import FrameNotes, taken_apart
from flyte.io._frames.registry import DuplicateHandlerError, registry
from flyte.types._failure import short, type_text
from flyte.types._rendering import Renderable
from flyte.types._transformers import TypeTransformer

Handlers = Union[DataFrameEncoder[Any], DataFrameDecoder[Any]]


class DataFrameTransformerEngine(TypeTransformer[DataFrame]):
    """Knows what writes and reads the frames of each class; register handlers of your own here.

    A class with a handler is a type of inputs and outputs like `pandas.DataFrame`.
    """

    ENCODERS: ClassVar[Any] = registry.encoders
    DECODERS: ClassVar[Any] = registry.decoders
    DEFAULT_FORMATS: ClassVar[dict[type, str]] = registry.default_formats
    DEFAULT_PROTOCOLS: ClassVar[dict[type, str]] = registry.default_protocols
    Renderers: ClassVar[dict[type, Renderable]] = registry.renderers
    DuplicateHandlerError = DuplicateHandlerError

    def __init__(self) -> None:
        super().__init__(NAME, DataFrame, enable_type_assertions=False)

    @classmethod
    def register(
        cls,
        h: Handlers,
        default_for_type: bool = False,
        override: bool = False,
        default_format_for_type: bool = False,
        default_storage_for_type: bool = False,
    ) -> None:
        """Let a handler serve its class, in every task from now on.

        Args:
            h: An encoder or decoder.
            default_for_type: Its format and its kind of storage are the defaults of its class.
            override: It may take the place of a registered one.
            default_format_for_type: Its format is the default.
            default_storage_for_type: Its kind of storage is the default.

        Raises:
            DuplicateHandlerError: another one does, and `override` is not set.
            TypeError: it is neither encoder nor decoder.
        """
        registry.add(
            h,
            override=override,
            default_format=default_for_type or default_format_for_type,
            default_protocol=default_storage_for_type or (default_for_type and bool(h.protocol)),
        )

    @classmethod
    def register_for_protocol(
        cls,
        h: Handlers,
        protocol: str,
        default_for_type: bool,
        override: bool,
        default_format_for_type: bool,
        default_storage_for_type: bool,
    ) -> None:
        """`register` for one kind of storage, such as `s3`; `/` and `file` are local files."""
        registry.add(
            h,
            "file" if protocol == "/" else protocol.replace("://", ""),
            override=override,
            default_format=default_for_type or default_format_for_type,
            default_protocol=default_for_type or default_storage_for_type,
        )

    @classmethod
    def register_renderer(cls, python_type: Type[Any], renderer: Renderable) -> None:
        """Show frames of a class on report pages by `renderer`."""
        registry.renderers[python_type] = renderer

    @classmethod
    def get_encoder(cls, df_type: Type[Any], protocol: str, format: str) -> DataFrameEncoder[Any]:
        """What writes frames of a class.

        Raises:
            TypeTransformerFailedError: nothing does; it is a ValueError.
        """
        return registry.encoder(df_type, protocol, format)

    @classmethod
    def get_decoder(cls, df_type: Type[Any], protocol: str, format: str) -> DataFrameDecoder[Any]:
        """What reads frames as a class.

        Raises:
            TypeTransformerFailedError: nothing does; it is a ValueError.
        """
        return registry.decoder(df_type, protocol, format)

    def assert_type(self, t: Type[DataFrame], v: Any) -> None:
        """Nothing: what does not fit is found when it is written."""

    async def to_literal(
        self, python_val: Union[DataFrame, Any], python_type: Union[Type[DataFrame], Type[Any]], expected: LiteralType
    ) -> Literal:
        """The literal of a frame, which is stored."""
        return await asyncio.to_thread(_converter(python_type).encode, python_val)

    async def encode(
        self,
        df: DataFrame,
        df_type: Type[Any],
        protocol: str,
        format: str,
        structured_literal_type: StructuredDatasetType,
    ) -> Literal:
        """Store the wrapped frame in a format; the literal says where."""
        registry.encoder(df_type, protocol, format)
        wanted = StructuredDatasetType()
        wanted.CopyFrom(structured_literal_type)
        wanted.format = format
        literal = Literal()
        fill(literal, df, await asyncio.to_thread(store, df, wanted))
        return literal

    async def to_python_value(self, lv: Literal, expected_python_type: Any) -> Any:
        """The frame of a literal, as a class, or a reference to it."""
        return await asyncio.to_thread(_converter(expected_python_type).decode, lv)

    def to_html(self, python_val: Any, expected_python_type: Type[Any]) -> str:
        """A frame for a report page: by its renderer, or else by its own `_repr_html_`, which shows the first rows."""
        frame = python_val.val if isinstance(python_val, DataFrame) and python_val.val is not None else python_val
        if (renderer := registry.renderer(type(frame))) is not None:
            return renderer.to_html(frame)
        own = getattr(frame, "_repr_html_", None)
        return own() if callable(own) else html.escape(short(frame))

    async def open_as(
        self, sd: StructuredDataset, df_type: Type[Any], updated_metadata: StructuredDatasetMetadata
    ) -> Any:
        """The stored table as a class."""
        return await asyncio.to_thread(decode, sd, df_type, updated_metadata.structured_dataset_type)

    async def iter_as(
        self, sd: StructuredDataset, df_type: Type[Any], updated_metadata: StructuredDatasetMetadata
    ) -> AsyncIterator[Any]:
        """The stored table part by part."""
        async for part in decoded_parts(sd, df_type, updated_metadata.structured_dataset_type):
            yield part

    def get_structured_dataset_type(
        self,
        storage_format: Optional[str] = None,
        pa_schema: Any = None,
        column_map: Optional[OrderedDict[str, type[Any]]] = None,
    ) -> StructuredDatasetType:
        """Columns, format and arrow schema as a message."""
        return FrameNotes(column_map or {}, storage_format or "", pa_schema).structured_type()

    def get_literal_type(self, t: Any) -> LiteralType:
        """The literal type of an annotation."""
        return _converter(t).literal_type

    def guess_python_type(self, literal_type: LiteralType) -> Type[DataFrame]:
        """`flyte.io.DataFrame`.

        Raises:
            ValueError: the literal type is not one of frames.
        """
        if literal_type.WhichOneof("type") != "structured_dataset_type":
            raise ValueError(f"{self.name} cannot reverse {str(literal_type).strip()}")
        return DataFrame


def _converter(annotation: Any) -> FrameConverter:
    bare, cls, notes = taken_apart(annotation)
    if not isinstance(cls, type):
        raise ValueError(f"{type_text(bare)} is not a class of frames")
    return FrameConverter(bare, cls, notes)
