"""What listings are asked for: which, in which order, how many."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar

from flyteidl2.common.list_pb2 import Filter, ListRequest, Sort

from flyte.models import ActionPhase

PAGE = 100
SortBy = tuple[str, Literal["asc", "desc"]]

T = TypeVar("T")


@dataclass
class TimeFilter:
    """A span of time; without a bound it is open on that side. A time without zone is one of this machine.

    Attributes:
        after: Not before this.
        before: Before this.
    """

    after: datetime | None = None
    before: datetime | None = None

    def filters(self, field: str) -> list[Filter]:
        """The span as conditions on a field."""
        found = []
        if self.after is not None:
            found.append(Filter(function=Filter.GREATER_THAN_OR_EQUAL, field=field, values=[_text(self.after)]))
        if self.before is not None:
            found.append(Filter(function=Filter.LESS_THAN, field=field, values=[_text(self.before)]))
        return found


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def equal(field: str, value: str | None) -> list[Filter]:
    """The condition that a field is that text; none where there is no text."""
    return [] if value is None else [Filter(function=Filter.EQUAL, field=field, values=[value])]


def times(created_at: TimeFilter | None, updated_at: TimeFilter | None) -> list[Filter]:
    """The conditions on the two times that all have."""
    found = []
    for field, span in (("created_at", created_at), ("updated_at", updated_at)):
        if span is not None:
            found += span.filters(field)
    return found


def in_phase(phases: Iterable[ActionPhase | str] | None) -> list[Filter]:
    """The condition that something is in one of these phases.

    Raises:
        ValueError: there is no such phase.
    """
    numbers = [str(_phase(each).to_protobuf_value()) for each in phases or ()]
    if not numbers:
        return []
    function = Filter.EQUAL if len(numbers) == 1 else Filter.VALUE_IN
    return [Filter(function=function, field="phase", values=numbers)]


def _phase(phase: ActionPhase | str) -> ActionPhase:
    try:
        return ActionPhase(phase.lower())
    except ValueError:
        known = ", ".join(each.value for each in ActionPhase)
        raise ValueError(f"in_phase: {phase!r} is no phase; there are {known}.") from None


def with_labels(labels: Mapping[str, str] | None, keys: Iterable[str] | None) -> list[Filter]:
    """The condition that all these labels are there, some with a value."""
    found = [
        Filter(function=Filter.EQUAL, field=f"labels.{key}", values=[text]) for key, text in (labels or {}).items()
    ]
    return found + [Filter(function=Filter.EXISTS, field=f"labels.{key}") for key in keys or ()]


def sorting(sort_by: SortBy | None, default: SortBy) -> Sort:
    """The order that was asked for.

    Raises:
        ValueError: it is no pair of a field and `asc` or `desc`.
    """
    pair = sort_by or default
    if not isinstance(pair, tuple) or len(pair) != 2 or pair[1] not in ("asc", "desc"):
        raise ValueError(
            f"sort_by: expected a field and 'asc' or 'desc', such as ('created_at', 'desc'), got {pair!r}."
        )
    return Sort(key=pair[0], direction=Sort.ASCENDING if pair[1] == "asc" else Sort.DESCENDING)


async def pages(
    fetch: Callable[[ListRequest], Awaitable[tuple[Iterable[T], str]]],
    *,
    filters: Iterable[Filter] = (),
    sort_by: Sort | None = None,
    limit: int | None = None,
) -> AsyncIterator[T]:
    """The items of a listing, page by page, each page when its first item is asked for.

    Args:
        fetch: Gives the items of a page and the token of the next, which is empty for the last.
        filters: Which items.
        sort_by: In which order.
        limit: How many at most; None and numbers below 0 are all.

    Raises:
        ValueError: the limit is 0.
    """
    if limit == 0:
        raise ValueError("limit: expected how many to list, or -1 for all, got 0.")
    left = None if limit is None or limit < 0 else limit
    token = ""
    while True:
        size = PAGE if left is None else min(PAGE, left)
        items, token = await fetch(ListRequest(limit=size, token=token, sort_by=sort_by, filters=filters))
        for item in items:
            yield item
            if left is not None:
                left -= 1
                if left == 0:
                    return
        if not token:
            return
