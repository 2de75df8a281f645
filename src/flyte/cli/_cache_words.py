"""What the cache did, in the words that people and programs read."""

from __future__ import annotations

from collections.abc import Mapping

from flyte._store.records import CacheStatus

_WORDS = {
    CacheStatus.HIT: "hit",
    CacheStatus.MISS: "miss",
    CacheStatus.POPULATED: "miss, kept",
}


def cache_word(status: CacheStatus) -> str:
    """What the cache did for an action: `hit`, `miss`, `miss, kept` or `disabled`."""
    return _WORDS.get(status, "disabled")


def cache_document(counts: Mapping[CacheStatus, int]) -> dict[str, int]:
    """How many actions of a run hit and missed, and of how many that missed the result is kept."""
    kept = counts.get(CacheStatus.POPULATED, 0)
    return {"hit": counts.get(CacheStatus.HIT, 0), "miss": counts.get(CacheStatus.MISS, 0) + kept, "kept": kept}


def cache_text(counts: Mapping[CacheStatus, int]) -> str:
    """The same for people; empty for a run without cached tasks."""
    numbers = cache_document(counts)
    parts = [f"{numbers['hit']:,} hit"] if numbers["hit"] else []
    if numbers["miss"]:
        kept = "all" if numbers["kept"] == numbers["miss"] else f"{numbers['kept']:,}"
        parts.append(f"{numbers['miss']:,} missed, {kept} kept")
    return "; ".join(parts)
