"""What writes frames of one class, and what reads them: the base classes that users extend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Generic, List, Optional, Type, TypeVar, Union

if TYPE_CHECKING:
    from flyteidl2.core.literals_pb2 import StructuredDataset, StructuredDatasetMetadata
    from flyteidl2.core.types_pb2 import StructuredDatasetType

    from flyte.io._frames.model import DataFrame

T = TypeVar("T")
DF = TypeVar("DF")


class DataFrameEncoder(ABC, Generic[T]):
    """Writes frames of one class; register an instance with `DataFrameTransformerEngine.register`.

    Args:
        python_type: The class.
        protocol: The kind of storage it writes to, such as `s3`; None for any.
        supported_format: What it writes, such as `parquet`; None for whatever is asked.
    """

    def __init__(
        self, python_type: Type[T], protocol: Optional[str] = None, supported_format: Optional[str] = None
    ) -> None:
        self._python_type = python_type
        self._protocol = protocol.replace("://", "") if protocol else None
        self._supported_format = supported_format or ""

    @property
    def python_type(self) -> Type[T]:
        return self._python_type

    @property
    def protocol(self) -> Optional[str]:
        return self._protocol

    @property
    def supported_format(self) -> str:
        """The format; empty for any."""
        return self._supported_format

    @abstractmethod
    async def encode(self, dataframe: DataFrame, structured_dataset_type: StructuredDatasetType) -> StructuredDataset:
        """Write a frame and say where it is.

        Args:
            dataframe: Has the frame as `val`; its `uri`, where it has one, is the folder to write to.
            structured_dataset_type: What the annotation says: columns and format.
        """

    def __repr__(self) -> str:
        return _text(self, "writes")


class DataFrameDecoder(ABC, Generic[DF]):
    """Reads frames of one class; register an instance with `DataFrameTransformerEngine.register`.

    Args:
        python_type: The class that it makes.
        protocol: The kind of storage it reads from; None for any.
        supported_format: What it reads; None for anything.
        additional_protocols: Further kinds of storage.
    """

    def __init__(
        self,
        python_type: Type[DF],
        protocol: Optional[str] = None,
        supported_format: Optional[str] = None,
        additional_protocols: Optional[List[str]] = None,
    ) -> None:
        self._python_type = python_type
        self._protocol = protocol.replace("://", "") if protocol else None
        self._supported_format = supported_format or ""
        self.additional_protocols = [each.replace("://", "") for each in additional_protocols or []]

    @property
    def python_type(self) -> Type[DF]:
        return self._python_type

    @property
    def protocol(self) -> Optional[str]:
        return self._protocol

    @property
    def supported_format(self) -> str:
        """The format; empty for any."""
        return self._supported_format

    @abstractmethod
    async def decode(
        self, flyte_value: StructuredDataset, current_task_metadata: StructuredDatasetMetadata
    ) -> Union[DF, AsyncIterator[DF]]:
        """The frame at `flyte_value.uri`, or an async iterator of its parts.

        Args:
            flyte_value: Where the frame is, and its format.
            current_task_metadata: Has the columns that are wanted; none means all.
        """

    def __repr__(self) -> str:
        return _text(self, "reads")


def _text(handler: Any, does: str) -> str:
    cls = handler.python_type
    what = handler.supported_format or "any format"
    where = handler.protocol or "any storage"
    return f"<{type(handler).__name__} {does} {cls.__module__}.{cls.__qualname__} as {what} in {where}>"
