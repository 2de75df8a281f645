"""Why a call missed the cache: how it differs from the kept result that is nearest to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call asked the cache for, or what a result is kept for; `input_hashes` by the name of the input."""

    version: str
    interface: str
    input_hashes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """In what a call differs from a kept result; `inputs` are names, those that only one of them has included."""

    version: bool
    interface: bool
    inputs: tuple[str, ...]

    @property
    def rank(self) -> tuple[int, int]:
        """The smaller, the more telling: with equal inputs only the task changed, which nobody sees from the call."""
        return len(self.inputs), self.version + self.interface


def difference(call: Asked, kept: Asked) -> Difference:
    """In what the two differ; the names of inputs in the order of the call, then those it no longer has."""
    names = dict.fromkeys((*call.input_hashes, *kept.input_hashes))
    return Difference(
        version=call.version != kept.version,
        interface=call.interface != kept.interface,
        inputs=tuple(name for name in names if call.input_hashes.get(name) != kept.input_hashes.get(name)),
    )


def nearest(call: Asked, kept: Iterable[Asked]) -> tuple[int, Difference] | None:
    """The index of the kept result that differs least, the first of equals, and in what; None when there is none."""
    ranked = ((index, difference(call, each)) for index, each in enumerate(kept))
    return min(ranked, key=lambda pair: pair[1].rank, default=None)
