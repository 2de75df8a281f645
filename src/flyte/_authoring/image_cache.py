"""Which image each environment runs with, once they are built."""

from __future__ import annotations

import gzip
import io
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from flyte.errors import RuntimeUserError


@dataclass(frozen=True)
class ImageCache:
    """Addresses of built images by the name of the environment; what `SerializationContext.image_cache` holds.

    It travels with every task, in the arguments of its process, so that a task that calls others names their images
    without building anything.

    Attributes:
        image_lookup: The address, by environment.
        build_run_ids: The run that built it, by environment: `org`, `project`, `domain` and `name`.
    """

    image_lookup: Mapping[str, str]
    build_run_ids: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def to_transport(self) -> str:
        """As text: base64 of gzip of JSON, the same for equal caches."""
        document = {"image_lookup": dict(self.image_lookup), "build_run_ids": dict(self.build_run_ids)}
        packed = io.BytesIO()
        # Not `gzip.compress`, whose header depends on the version of Python.
        with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as file:
            file.write(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())
        return b64encode(packed.getvalue()).decode()

    @classmethod
    def from_transport(cls, text: str) -> ImageCache:
        """The cache that `to_transport` of any release wrote.

        Raises:
            RuntimeUserError: code `ImageCache`; it is no such text.
        """
        try:
            document = json.loads(gzip.decompress(b64decode(text, validate=True)))
            return cls(document["image_lookup"], document.get("build_run_ids") or {})
        except (ValueError, EOFError, OSError, KeyError, TypeError) as error:
            raise RuntimeUserError(
                "ImageCache",
                f"--image-cache {text[:40]!r} is no image cache (base64 of gzip of JSON with 'image_lookup'): "
                f"{type(error).__name__}: {error}",
            ) from error
