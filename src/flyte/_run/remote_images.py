"""The images of a run: addresses that the control plane knows, and environments built on this machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flyte._authoring.environment import Environment
from flyte._authoring.image import Image, image_of
from flyte._authoring.image_cache import ImageCache
from flyte.config._in_force import image_config
from flyte.errors import ImageBuildError

if TYPE_CHECKING:
    from flyte._rpc.sessions import Session


async def images_of(
    session: Session | None, environments: Iterable[Environment], *, bakes_code: bool = False, dry_run: bool = False
) -> ImageCache:
    """The address of the image of each environment and of all it depends on; those without one are left out.

    An image as it was published is named, and never built. One with layers is built here, and so is only of use to a
    control plane on this machine, unless Docker pushes it to a registry.

    Args:
        session: With the control plane; None leaves open where that is.
        environments: The environments.
        bakes_code: Code is to be in the image where a layer asks for that.
        dry_run: Build nothing; say what the addresses would be.

    Raises:
        ImageBuildError: one cannot be built, or could not be found by the control plane.
    """
    from flyte._image.building import environments_below

    lookup: dict[str, str] = {}
    for environment in environments_below(environments):
        image = image_of(environment.image)
        if image is None:
            continue
        if _is_plain(image):
            # Its address is in every task of the environment.
            continue
        address = _published(image)
        if address is None:
            address = await _built(session, environment, image, bakes_code=bakes_code, dry_run=dry_run)
        lookup[environment.name] = address
    return ImageCache(lookup)


def _is_plain(image: Image) -> bool:
    """Whether it is an address and nothing else."""
    return not (image.extendable or image._layers or image._ref_name or image.dockerfile or image._is_cloned)


def _published(image: Image) -> str | None:
    """The address of an image that nothing was added to; None for one that has to be built."""
    if image._layers or image.dockerfile is not None:
        return None
    if image._ref_name is not None:
        refs = image_config().image_refs
        if image._ref_name not in refs:
            from flyte._authoring.expectations import near_name

            raise ImageBuildError(
                f"image {image._ref_name!r} has no address: give flyte.init(images={{{image._ref_name!r}: ...}}), or "
                f"image.image_refs in the configuration.{near_name(image._ref_name, refs)}"
            )
        return refs[image._ref_name]
    return None if image._is_cloned and image.registry is None else image.uri


async def _built(
    session: Session | None, environment: Environment, image: Image, *, bakes_code: bool, dry_run: bool
) -> str:
    from flyte._image.building import BuildRequest, build_one, builder_of
    from flyte._image.processes import stopped_by

    request = BuildRequest(config=image_config(), bakes_code=bakes_code, dry_run=dry_run)
    is_elsewhere = session is not None and not session.settings.endpoint.is_this_machine
    if is_elsewhere and builder_of(request) == "venv":
        assert session is not None
        raise ImageBuildError(
            f"the image of environment {environment.name!r} has layers, which make an environment on this machine, and "
            f"the control plane is at {session.settings.endpoint}: build it with Docker (image_builder='docker' and a "
            f"registry), or name a published image."
        )
    stop = threading.Event()
    with stopped_by(stop):
        building = asyncio.ensure_future(asyncio.to_thread(build_one, image, request))
        try:
            return await asyncio.shield(building)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([building])
            raise
