"""Settings that this release accepts from nobody, since it could only ignore them."""

from __future__ import annotations

from flyte.errors import InitializationError

_INSTEAD = {
    "image_builder": "Which builder `flyte.build` uses is set by image.builder in the configuration.",
    "images": "Addresses of images are set by image.image_refs in the configuration.",
    "image_registry": "Where images go is set by image.registry in the configuration.",
}


def refuse_given(**settings: object) -> None:
    """Nothing, when none of these settings was given.

    Raises:
        InitializationError: code `NotAvailableLocally`; one was, and only a control plane could do what it asks for.
    """
    for name, value in settings.items():
        if value:
            raise InitializationError(
                "NotAvailableLocally",
                "user",
                f"{name}={value!r} cannot be honoured: this release runs tasks on this machine only, without a control "
                f"plane. {_INSTEAD.get(name, 'Leave it out.')}",
            )
