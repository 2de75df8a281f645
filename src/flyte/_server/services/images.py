"""`ImageService`: which images there are already, so that clients need not have them built."""

from __future__ import annotations

import asyncio
from pathlib import Path

from flyteidl2.imagebuilder.definition_pb2 import Image, ImageIdentifier
from flyteidl2.imagebuilder.payload_pb2 import GetImageRequest, GetImageResponse

from flyte._image.built import built_images
from flyte._image.environment import SCHEME
from flyte._server.codes import Context, answering
from flyte._server.refusals import UnknownError
from flyte._server.services.identifiers import text_of

_NAME_LENGTH = 512


@answering
class ImageService:
    """The environments that were built in the home of the server; their addresses stand for images."""

    def __init__(self, home: Path) -> None:
        self._home = home

    async def get_image(self, request: GetImageRequest, ctx: Context) -> GetImageResponse:
        """The image whose name ends in the key of an environment, as in `flyte:<key>` and `venv:<key>`."""
        name = text_of(request.id.name, "id.name", _NAME_LENGTH)
        key = name.rpartition(":")[2]
        keys = {each.record.key for each in await asyncio.to_thread(built_images, self._home)}
        if key not in keys:
            raise UnknownError(
                f"there is no image {name!r} on this machine: `flyte build` makes them, `flyte get image` lists them."
            )
        return GetImageResponse(image=Image(id=ImageIdentifier(name=name), fqin=f"{SCHEME}{key}"))
