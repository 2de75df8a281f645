"""Which Python an image starts from, where its base is Python and nothing else."""

from __future__ import annotations

import os
import re
import sys

from flyte._authoring.image import DEFAULT_IMAGE, Image
from flyte._authoring.image_arguments import OLDEST_PYTHON, dotted, running_python
from flyte._version import __version__
from flyte.errors import ImageBuildError

_PLAIN_PYTHON = re.compile(
    r"(?:docker\.io/)?(?:library/)?python:(?P<version>3\.\d+)(?:\.\d+)?(?:-slim)?(?:-(?:bullseye|bookworm|trixie))?"
)
_FLYTE = re.compile(rf"{re.escape(DEFAULT_IMAGE)}:py(?P<version>3\.\d+)-v(?P<flyte>.+)")
_MACHINES = {"x86_64": "linux/amd64", "amd64": "linux/amd64", "aarch64": "linux/arm64", "arm64": "linux/arm64"}


def is_running_python(image: Image) -> bool:
    """The image is Python of the version that runs and Flyte of the version that runs, and says nothing more.

    `image="auto"` means such an image. An image with a name of its own is not: giving one is how to ask for an
    environment without the packages that happen to be installed here.
    """
    if image._is_cloned or image._layers or image.base_image is None:
        return False
    return image.base_image == f"{DEFAULT_IMAGE}:py{dotted(running_python())}-v{__version__}"


def is_python_alone(image: Image) -> bool:
    """The base is Python and perhaps Flyte, as `Image.from_debian_base` has it."""
    base = image.base_image or ""
    return _FLYTE.fullmatch(base) is not None or (base.endswith("-slim-bookworm") and base.startswith("python:"))


def python_version_of_base(image: Image) -> str:
    """The version of Python in the base, as `3.12`.

    Raises:
        ImageBuildError: the base holds more than Python, or another Flyte.
    """
    base = image.base_image or ""
    if match := _FLYTE.fullmatch(base):
        if match["flyte"] != __version__:
            raise ImageBuildError(
                f"the image starts from {base!r}, which has flyte {match['flyte']}; an environment has the flyte that "
                f"runs, {__version__}. Start from Image.from_debian_base() without flyte_version."
            )
    elif not (match := _PLAIN_PYTHON.fullmatch(base)):
        raise ImageBuildError(
            f"the image starts from {base!r}: a virtual environment can hold Python packages, and not what that image "
            f"has beside them. Start from Image.from_debian_base() or Image.from_base('python:3.12-slim'), or build "
            f"with Docker: `flyte build --image-builder docker`."
        )
    # A clone may have been given another one.
    changed = image.python_version != running_python()
    version = dotted(image.python_version) if changed else match["version"]
    if tuple(map(int, version.split("."))) < OLDEST_PYTHON:
        raise ImageBuildError(f"the image has Python {version}: Flyte needs Python {dotted(OLDEST_PYTHON)} or newer.")
    return version


def check_platform(image: Image) -> None:
    """The image is for machines such as this one.

    Raises:
        ImageBuildError: it is for others only.
    """
    this_machine = _MACHINES.get(os.uname().machine)
    if image.extendable and this_machine is not None and this_machine not in image.platform:
        raise ImageBuildError(
            f"the image is for {' and '.join(image.platform)}, this machine is {this_machine}: an environment holds "
            f"software of the machine it is on. Leave platform= out, or build with Docker: "
            f"`flyte build --image-builder docker`."
        )


def this_docker_platform(image: Image) -> str:
    """What Docker calls this machine, if the image is for such; else the first one it is for."""
    this_machine = _MACHINES.get(os.uname().machine)
    return this_machine if this_machine in image.platform else image.platform[0]


def this_platform() -> str:
    """What compiled packages of an environment depend on, beside the version of Python."""
    return f"{sys.platform}-{os.uname().machine}-{sys.implementation.name}"
