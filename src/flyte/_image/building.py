"""`flyte.build` and `flyte.build_images`: images become software, by the builder that is configured."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Optional, get_args

from flyte._authoring.environment import Environment as TaskOrAppEnvironment
from flyte._authoring.expectations import expect, near_name
from flyte._authoring.image import Image, image_of
from flyte._authoring.image_cache import ImageCache
from flyte._image.environment import SCHEME, Environment, load_environment, note_use
from flyte._image.processes import stopped_by
from flyte._image.venv import Plan, build_plan, ensure_environment, plan_of, resolved
from flyte._logging import system_logger
from flyte.config import home
from flyte.errors import ImageBuildError
from flyte.syncify import syncify

if TYPE_CHECKING:
    from flyte.config._config import ImageConfig

CopyStyle = Literal["loaded_modules", "all", "none", "custom"]
Builder = Literal["venv", "docker"]

_BUILDERS: dict[str, Builder] = {"local": "venv", "venv": "venv", "docker": "docker"}
_NOT_HERE = {
    "local-podman": "Podman is not called by this release; use 'docker', whose command Podman can stand in for",
    "remote": "there is no control plane that builds images; use 'venv' or 'docker'",
}


@dataclass
class ImageBuild:
    """What building an image gave.

    Attributes:
        uri: Where the image is: `venv:<key>` for an environment of this machine, the address of a Docker image, or the
            address of the default image, which the interpreter that runs stands for.
        remote_run: None: no run of a control plane built it.
        build_run: None, as well.
    """

    uri: str | None
    remote_run: Optional[Any] = None
    build_run: Optional[Any] = None


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """How images are to be built.

    Attributes:
        builder: Which one; None is the configuration's.
        dry_run: Only check that they can be built.
        force: Build environments that are there, too.
        bakes_code: Code is to be in the image where a layer asks for that.
        say: Told what is being done.
    """

    config: ImageConfig
    builder: str | None = None
    dry_run: bool = False
    force: bool = False
    bakes_code: bool = False
    say: Callable[[str], None] = system_logger.info


def build_one(image: Image, request: BuildRequest) -> str:
    """The image is built; its address.

    Raises:
        ImageBuildError: it cannot be; or there is no such builder.
    """
    if builder_of(request) == "docker":
        from flyte._image.docker import build_with_docker

        one = resolved(image, request.config.image_refs)
        if one._is_cloned and one.registry is None and request.config.registry is not None:
            one = one.clone(registry=request.config.registry)
        return build_with_docker(
            one, home=home(), say=request.say, dry_run=request.dry_run, bakes_code=request.bakes_code
        )
    plan = plan_of(image, image_refs=request.config.image_refs, bakes_code=request.bakes_code)
    if not request.dry_run:
        build_plan(plan, home=home(), force=request.force, say=request.say)
    return _uri_of(plan)


def _uri_of(plan: Plan) -> str:
    if plan.key is not None:
        return f"{SCHEME}{plan.key}"
    assert plan.image is not None
    return plan.image.uri


def builder_of(request: BuildRequest) -> Builder:
    """The builder: the one asked for, else the configured one, else environments.

    Raises:
        ImageBuildError: there is none of that name here.
    """
    asked = request.builder or request.config.builder or "venv"
    if asked in _NOT_HERE:
        raise ImageBuildError(f"image builder {asked!r}: {_NOT_HERE[asked]}.")
    if asked not in _BUILDERS:
        known = ", ".join(map(repr, _BUILDERS))
        raise ImageBuildError(f"image builder {asked!r}: expected one of {known}.{near_name(asked, _BUILDERS)}")
    return _BUILDERS[asked]


def find_environment(uri: str, *, home: Path) -> Environment:
    """The environment at an address: built before (`venv:<key>`), or of a base image that is Python alone.

    Raises:
        ImageBuildError: it was deleted, or no environment can stand for the address.
    """
    if not uri.startswith(SCHEME):
        return ensure_environment(Image.from_base(uri), home=home)
    found = load_environment(home, uri.removeprefix(SCHEME))
    if found is None:
        raise ImageBuildError(
            f"environment {uri} is not on this machine: `flyte build` builds it, `flyte get image` lists them."
        )
    note_use(home, found.key)
    return found


def environments_below(envs: Iterable[TaskOrAppEnvironment]) -> Iterator[TaskOrAppEnvironment]:
    """Environments and all that they depend on, each once, those they depend on first."""
    seen: set[int] = set()

    def walk(env: TaskOrAppEnvironment) -> Iterator[TaskOrAppEnvironment]:
        if id(env) not in seen:
            seen.add(id(env))
            for each in env.depends_on:
                yield from walk(each)
            yield env

    for env in envs:
        yield from walk(env)


def _request(**settings: Any) -> BuildRequest:
    from flyte.config._in_force import image_config

    return BuildRequest(config=image_config(), **settings)


async def _build_stoppably(image: Image, request: BuildRequest) -> str:
    """As `build_one`, on a thread; where this is cancelled, so is what the build has started."""
    stop = threading.Event()
    with stopped_by(stop):
        building = asyncio.ensure_future(asyncio.to_thread(build_one, image, request))
        try:
            return await asyncio.shield(building)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([building])
            if not building.cancelled():
                building.exception()
            raise


@syncify
async def build(image: Image, dry_run: bool = False, force: bool = False, wait: bool = True) -> ImageBuild:
    """Build an image with the builder that `image.builder` of the configuration names; by default, an environment.

    Args:
        image: The image.
        dry_run: Only check that it can be built, and say what its address would be.
        force: Build it even though it is there.
        wait: True; what is built on this machine is waited for.

    Raises:
        ImageBuildError: it cannot be built. The message has the words of what failed.
        ValueError: `wait` is False.
    """
    expect(isinstance(image, Image), "image", "a flyte.Image", image)
    if not wait:
        raise ValueError("wait=False: an image is built on this machine, and not in a run that could go on alone")
    request = _request(dry_run=dry_run, force=force)
    return ImageBuild(await _build_stoppably(image, request))


@syncify
async def build_images(
    *envs: TaskOrAppEnvironment, copy_style: CopyStyle = "loaded_modules", seed_cache: ImageCache | None = None
) -> ImageCache:
    """Build the images of environments and of all that these depend on.

    Args:
        envs: The environments.
        copy_style: How runs get the code; with `none` it has to be in images that have a layer for it.
        seed_cache: Addresses that are known already; nothing is built for the environments in it.

    Returns:
        The address of the image of each environment; those without an image are left out.

    Raises:
        ImageBuildError: one cannot be built.
        ValueError: there is no such copy style.
    """
    if copy_style not in get_args(CopyStyle):
        known = get_args(CopyStyle)
        raise ValueError(f"copy_style must be one of {known}, got {copy_style!r}.{near_name(copy_style, known)}")
    for env in envs:
        expect(isinstance(env, TaskOrAppEnvironment), "envs", "environments", env)
    request = _request(bakes_code=copy_style == "none")
    addresses = dict(seed_cache.image_lookup) if seed_cache is not None else {}
    for env in environments_below(envs):
        image = image_of(env.image)
        if env.name not in addresses and image is not None:
            addresses[env.name] = await _build_stoppably(image, request)
    return ImageCache(addresses)
