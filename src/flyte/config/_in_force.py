"""The settings of images that are in force: those that this process was initialised with, else those that are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flyte.config._config import Config, ImageConfig

_chosen: ImageConfig | None = None


def use_image_config(config: ImageConfig | None, more_refs: Mapping[str, str] | None = None) -> None:
    """From now on these are the settings of images.

    Args:
        config: None is what is found when it is asked for.
        more_refs: Further names of images, which win over those of the configuration.
    """
    global _chosen
    _chosen = config
    if more_refs:
        found = image_config()
        _chosen = replace(found, image_refs={**found.image_refs, **more_refs})


def image_config() -> ImageConfig:
    """The settings of images in force."""
    return Config.auto().image if _chosen is None else _chosen
