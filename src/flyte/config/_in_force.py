"""The settings of images that are in force: those that this process was initialised with, else those that are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flyte.config._config import Config, ImageConfig

_chosen: ImageConfig | None = None


def use_image_config(
    config: ImageConfig | None,
    more_refs: Mapping[str, str] | None = None,
    *,
    builder: str | None = None,
    registry: str | None = None,
) -> None:
    """From now on these are the settings of images.

    Args:
        config: None is what is found when it is asked for.
        more_refs: Further names of images, which win over those of the configuration.
        builder: Wins over that of the configuration.
        registry: Wins over that of the configuration.
    """
    global _chosen
    _chosen = config
    if more_refs or builder or registry:
        found = image_config()
        _chosen = replace(
            found,
            builder=builder or found.builder,
            image_refs={**found.image_refs, **(more_refs or {})},
            registry=registry or found.registry,
        )


def image_config() -> ImageConfig:
    """The settings of images in force."""
    return Config.auto().image if _chosen is None else _chosen
