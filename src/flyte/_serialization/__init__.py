"""A task as the control plane knows it: the `flyteidl2` messages."""

from __future__ import annotations

from flyte._authoring.image_cache import ImageCache as ImageCache
from flyte._serialization.entry_point import entry_arguments as entry_arguments
from flyte._serialization.images import image_uri as image_uri
from flyte._serialization.spec import task_spec as task_spec

__all__ = ["ImageCache", "entry_arguments", "image_uri", "task_spec"]
