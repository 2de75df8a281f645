"""Addresses of built images travel as text, in the form of the official release."""

from __future__ import annotations

import pytest

from flyte._authoring.image_cache import ImageCache
from flyte.errors import RuntimeUserError

OFFICIAL = "H4sIAAAAAAAC/6tWysxNTE+Nz8nPzy4tULKqVkrSTc0rU7JSqrAyVNJRSgSyKpVqdZSSSjNzUuKLSvPiM1OKgepqawFWLh9/OwAAAA=="
"""What the official release 2.12.1 writes for the cache of the tests."""

CACHE = ImageCache({"b-env": "x:1", "a": "y"})


def test_text_says_what_that_of_the_official_release_says() -> None:
    assert ImageCache.from_transport(OFFICIAL) == CACHE


def test_text_is_read_as_the_cache_it_was_written_from() -> None:
    cache = ImageCache({"é": "x:1"}, {"é": {"org": "o", "project": "p", "domain": "d", "name": "n"}})
    assert ImageCache.from_transport(cache.to_transport) == cache


def test_equal_caches_have_equal_texts() -> None:
    assert CACHE.to_transport == ImageCache({"b-env": "x:1", "a": "y"}).to_transport


@pytest.mark.parametrize("text", ["", "abc", "####", OFFICIAL[:40], "H4sIAAAAAAAC/wMAAAAAAAAAAAA="])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(RuntimeUserError, match="is no image cache") as raised:
        ImageCache.from_transport(text)
    assert raised.value.code == "ImageCache"
