"""Which converter goes with a class of this room, or of a library that it reads and writes the data of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyteidl2.core.types_pb2 import LiteralType

    from flyte.types._converter import Converter


def provide(cls: type, annotation: Any, notes: tuple[Any, ...]) -> Converter | None:
    """The converter for a class; None for one that is not known here.

    Libraries are told by name: whoever annotates a class has imported it, and nobody else pays for it.
    """
    package = cls.__module__.partition(".")[0]
    match package, cls.__name__:
        case "flyte", "File" | "Dir" | "EmptyDir":
            from flyte.io._references import ReferenceConverter

            return ReferenceConverter(annotation, cls)
        case ("flyte" | "pandas" | "polars", "DataFrame") | ("polars", "LazyFrame") | ("pyarrow", "Table"):
            from flyte.io._frames.converter import FrameConverter

            return FrameConverter(annotation, cls, notes)
        case "numpy", "ndarray":
            from flyte.io._arrays import ArrayConverter

            return ArrayConverter(annotation)
        case "torch", "Tensor":
            from flyte.io._tensors import TensorConverter

            return TensorConverter(annotation)
    from flyte.io._frames.registry import registry

    if registry.knows(cls):
        from flyte.io._frames.converter import FrameConverter

        return FrameConverter(annotation, cls, notes)
    return None


def guess(literal_type: LiteralType) -> Any:
    """The class that values of a literal type are read as, where only that is known; None for any other type."""
    if literal_type.HasField("structured_dataset_type"):
        from flyte.io._frames.model import DataFrame

        return DataFrame
    if not literal_type.HasField("blob"):
        return None
    from flyteidl2.core.types_pb2 import BlobType

    if literal_type.blob.dimensionality == BlobType.BlobDimensionality.MULTIPART:
        from flyte.io._dir import Dir

        return Dir
    match literal_type.blob.format:
        case "npy":
            import numpy

            return numpy.ndarray
        case "safetensors":
            import torch

            return torch.Tensor
    from flyte.io._file import File

    return File
