"""What a virtual environment cannot hold."""

from __future__ import annotations

import re

from flyte._authoring.image import Image
from flyte._authoring.image_layers import (
    AptPackages,
    BakedCode,
    Commands,
    Layer,
    PipPackages,
    PixiProject,
    PixiScript,
    PoetryProject,
)
from flyte.errors import ImageBuildError

_DOCKER = "build with Docker: `flyte build --image-builder docker`"
_SYSTEM_COMMAND = re.compile(r"(?:^|[;&|]\s*)\s*(?P<program>sudo|apt|apt-get|apk|dnf|yum|dpkg|microdnf)\s")


def refuse_what_cannot_be_held(image: Image, *, bakes_code: bool = False) -> None:
    """Check every layer.

    Raises:
        ImageBuildError: one asks for what is no part of a virtual environment; the way out is named.
    """
    if image.dockerfile is not None:
        raise ImageBuildError(
            f"the image is built from {image.dockerfile}: only Docker can do what a Dockerfile says. Describe it with "
            f"Image.from_debian_base() and layers, or {_DOCKER}."
        )
    for layer in image._layers:
        if problem := _problem_with(layer, bakes_code):
            raise ImageBuildError(f"image layer {layer.kind}: {problem}.")


def _problem_with(layer: Layer, bakes_code: bool) -> str | None:
    match layer:
        case AptPackages():
            return (
                f"{', '.join(layer.packages)}: packages of the operating system cannot be in a virtual environment. "
                f"Install them on this machine (`apt-get install {' '.join(layer.packages)}`) and leave "
                f"with_apt_packages out, or {_DOCKER}"
            )
        case PixiProject() | PixiScript():
            return (
                "conda packages, which pixi installs, cannot be in a virtual environment. Use with_uv_project, "
                "with_requirements or from_uv_script with packages of PyPI, or write a Dockerfile and "
                "Image.from_dockerfile(...)"
            )
        case Commands():
            for command in layer.commands:
                if match := _SYSTEM_COMMAND.search(command):
                    return (
                        f"{command!r} changes this machine, and not the environment: the commands run here, as you. "
                        f"Run `{match['program']}` yourself and leave the command out, or {_DOCKER}"
                    )
        case PipPackages():
            for package in layer.packages:
                if package.startswith(("-e", "--editable")):
                    return (
                        f"{package!r} would change with its folder, and an environment is shared and never changes. "
                        f"Give the folder without -e"
                    )
                if package.startswith("-"):
                    return f"{package!r} is an option and no package: give it with extra_args="
        case PoetryProject() if layer.extra_args not in (None, "", "--no-root"):
            return (
                f"extra_args {layer.extra_args!r} are arguments of Poetry, and the environment is made with uv from "
                f"poetry.lock. Leave them out, or name packages with with_pip_packages"
            )
        case BakedCode() if bakes_code:
            return (
                "the code cannot be built in yet. Use a copy style with which runs bring the code: "
                "`--copy-style loaded_modules`"
            )
    return None
