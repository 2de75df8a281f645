"""Which image each environment got, on the way to where its tasks run."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass, field
from typing import Any, Dict


@dataclass
class ImageCache:
    """Addresses of built images by the name of the environment.

    Attributes:
        image_lookup: The addresses.
        build_run_ids: Runs that built them; nothing here builds with one.
    """

    image_lookup: Dict[str, str] = field(default_factory=dict)
    build_run_ids: Dict[str, Any] = field(default_factory=dict)

    @property
    def to_transport(self) -> str:
        """One word that a command line carries: base64 of gzip of JSON."""
        document = {"image_lookup": self.image_lookup, "build_run_ids": self.build_run_ids}
        return base64.b64encode(gzip.compress(json.dumps(document).encode(), mtime=0)).decode()

    @classmethod
    def from_transport(cls, s: str) -> ImageCache:
        """What `to_transport` packed.

        Raises:
            ValueError: it packed no such word.
        """
        try:
            document = json.loads(gzip.decompress(base64.b64decode(s, validate=True)))
            return cls(document["image_lookup"], document.get("build_run_ids") or {})
        except (ValueError, OSError, EOFError, KeyError, TypeError) as error:
            raise ValueError(f"{s[:40]!r} is no image cache, as --image-cache has it: {error}") from None
