"""What an environment is known by: a hash of all that decides what is in it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from flyte._authoring.image import Image
from flyte._authoring.image_layers import Layer, PipPackages, Requirements, UVProject, UVScript
from flyte._image.bases import this_platform
from flyte._image.local_paths import digests_of_arguments, digests_of_file, digests_of_requirements
from flyte._image.own_package import own_digest
from flyte._version import __version__

_FORMAT = 1
_LENGTH = 32


def environment_key(image: Image, python_version: str) -> str:
    """The key: equal layers on equal files give the same one in every process and folder, with the same Flyte.

    Secrets are no part of it, nor is where the files lie.

    Raises:
        ImageBuildError: a file of a layer cannot be read.
    """
    identity = {
        "format": _FORMAT,
        "python": python_version,
        "platform": this_platform(),
        "flyte": [__version__, own_digest()],
        "layers": [[layer.kind, layer.identity(), *_named_files(layer)] for layer in image._layers],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:_LENGTH]


def _named_files(layer: Layer) -> list[Any]:
    """Of the files that a layer names in texts, what they hold; most name none."""
    here = Path.cwd()
    digests: list[str] = []
    match layer:
        case PipPackages():
            digests = digests_of_requirements(layer.packages, here)
            digests += digests_of_arguments(layer.options.extra_args, here)
        case Requirements():
            digests = digests_of_file(layer.file) + digests_of_arguments(layer.options.extra_args, here)
        case UVScript() | UVProject():
            digests = digests_of_arguments(layer.options.extra_args, here)
    return [digests] if digests else []
