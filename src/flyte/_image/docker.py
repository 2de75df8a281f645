"""Images built by Docker, where there is one."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from flyte._authoring.image import Image
from flyte._authoring.image_layers import BakedCode
from flyte._image.bases import this_docker_platform
from flyte._image.build_secrets import secrets_of_layer, value_of_secret
from flyte._image.copied_files import copy_file, copy_folder
from flyte._image.disk_errors import told_disk_errors
from flyte._image.dockerfile import OWN_WHEEL, Dockerfile, dockerfile_of, secret_id
from flyte._image.ignore_patterns import IgnorePatterns, patterns_of
from flyte._image.own_package import wheel_bytes
from flyte._image.processes import run
from flyte._image.uv_calls import failure_text
from flyte.errors import ImageBuildError


def build_with_docker(
    image: Image, *, home: Path, say: Callable[[str], None], dry_run: bool = False, bakes_code: bool = False
) -> str:
    """The image is built and in Docker's store, or pushed where it has a registry; its address.

    An image that exists already, taken as it is, is left to Docker.

    Args:
        image: Names of the configuration are resolved already.
        home: Where the secrets of this machine are.
        say: Told what is being done.
        dry_run: Only check that it can be built.
        bakes_code: Code is to be in the image where a layer asks for that.

    Raises:
        ImageBuildError: there is no Docker, or it failed; its words are told.
    """
    if not image._is_cloned and not image._layers and image.dockerfile is None:
        return image.uri
    if bakes_code and any(isinstance(layer, BakedCode) for layer in image._layers):
        raise ImageBuildError(
            "image layer code_bundle: the code cannot be built in yet. Use a copy style with which runs bring the "
            "code: `--copy-style loaded_modules`."
        )
    image.validate()
    dockerfile = None if image.dockerfile is not None else dockerfile_of(image)
    if dry_run:
        return image.uri
    docker = _docker()
    with tempfile.TemporaryDirectory(prefix="flyte-image-") as folder, told_disk_errors(Path(folder)):
        context = Path(folder)
        if dockerfile is None:
            assert image.dockerfile is not None
            command = _command(docker, image, image.dockerfile.resolve(), image.dockerfile.resolve().parent)
        else:
            _write_context(dockerfile, context, patterns_of(image._layers))
            command = _command(docker, image, context / "Dockerfile", context)
        secrets = _secrets(image, home)
        say(f"docker builds {image.uri}")
        finished = run(command, variables={**os.environ, **secrets}, folder=context)
        if finished.return_code:
            told = failure_text(f"docker cannot build {image.uri}", finished, secrets)
            missing = f"\n{_NO_BUILDX}" if _UNKNOWN_BUILDX.search(finished.output) else ""
            raise ImageBuildError(told + missing)
    return image.uri


def _docker() -> str:
    docker = shutil.which("docker")
    if docker is None:
        raise ImageBuildError(
            "there is no `docker` on the PATH: install Docker with buildx, or build an environment without it: "
            "`flyte build --image-builder venv`, or image.builder: venv in the configuration."
        )
    return docker


def _command(docker: str, image: Image, dockerfile: Path, context: Path) -> list[str | Path]:
    # Docker's own store holds images of one platform; a registry holds them all.
    platforms = ",".join(image.platform) if image.registry else this_docker_platform(image)
    command: list[str | Path] = [docker, "buildx", "build", "--tag", image.uri, "--platform", platforms]
    command += ["--push" if image.registry else "--load", "--file", dockerfile]
    for layer in image._layers:
        for secret in secrets_of_layer(layer):
            name = secret_id(secret.key, secret.group)
            command += ["--secret", f"id={name},env={_variable(name)}"]
    for option, variable in _OPTIONS.items():
        if value := os.environ.get(variable):
            command += [option, value]
    return [*command, *shlex.split(os.environ.get("FLYTE_DOCKER_BUILD_EXTRA_ARGS", "")), context]


_UNKNOWN_BUILDX = re.compile(r"unknown flag: --tag|'buildx' is not a docker command")
_NO_BUILDX = "This Docker has no buildx: install the plugin `docker-buildx`."
_OPTIONS = {
    "--builder": "FLYTE_DOCKER_BUILDKIT_BUILDER_NAME",
    "--cache-from": "FLYTE_DOCKER_BUILDER_CACHE_FROM",
    "--cache-to": "FLYTE_DOCKER_BUILDER_CACHE_TO",
}


def _variable(name: str) -> str:
    """The variable of Docker's process that has a secret: of its own, so that no variable Docker reads is hidden."""
    return "FLYTE_BUILD_SECRET_" + "".join(each if each.isalnum() else "_" for each in name).upper()


def _secrets(image: Image, home: Path) -> Mapping[str, str]:
    return {
        _variable(secret_id(secret.key, secret.group)): value_of_secret(secret, layer, home)
        for layer in image._layers
        for secret in secrets_of_layer(layer)
    }


def _write_context(dockerfile: Dockerfile, folder: Path, ignored: IgnorePatterns) -> None:
    (folder / "Dockerfile").write_text(dockerfile.text, "utf-8")
    (folder / OWN_WHEEL).write_bytes(wheel_bytes())
    for file in dockerfile.files:
        target = folder / file.name
        if isinstance(file.source, str):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file.source, "utf-8")
        elif file.source.is_dir():
            copy_folder(file.source, target, ignored)
        else:
            copy_file(file.source, target)
