"""`ListRequest`s of the protocol as queries: filters, sorting and tokens, checked field by field."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flyteidl2.common.list_pb2 import Filter, ListRequest, Sort

from flyte._authoring.expectations import near_name
from flyte._server.refusals import InvalidRequestError
from flyte._store.queries import Page, Position, Query
from flyte._store.records import to_microseconds

DEFAULT_LIMIT = 100
LARGEST_PAGE = 1000
LARGEST_LIMIT = 100_000
"""Larger limits are refused; from `LARGEST_PAGE` to here a page has that many, and a token for the next."""

_MOST_FILTERS = 50
_MOST_VALUES = 1000
_LONGEST_TEXT = 4096
_MAX_INT = 2**63 - 1

Parse = Callable[[str, str], Any]


def text(value: str, where: str) -> str:
    """A text to compare with, as it is."""
    if len(value) > _LONGEST_TEXT:
        raise InvalidRequestError(f"{where} has {len(value)} characters: expected at most {_LONGEST_TEXT}.")
    return value


def number(value: str, where: str) -> int:
    """A whole number, such as that of a phase."""
    try:
        parsed = int(value[:30])
    except ValueError:
        parsed = _MAX_INT + 1
    if not -_MAX_INT <= parsed <= _MAX_INT:
        raise InvalidRequestError(f"{where} is {value[:60]!r}: expected a whole number.")
    return parsed


def flag(value: str, where: str) -> int:
    """Whether something is so."""
    if value.lower() not in ("true", "false"):
        raise InvalidRequestError(f"{where} is {value[:60]!r}: expected true or false.")
    return int(value.lower() == "true")


def moment(value: str, where: str) -> int:
    """A time, in microseconds; one without a zone is in UTC."""
    try:
        parsed = datetime.fromisoformat(value)
        return to_microseconds(parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise InvalidRequestError(
            f"{where} is {value[:60]!r}: expected a time such as '2026-01-31T12:00:00+00:00'."
        ) from None


@dataclass(frozen=True, slots=True)
class Column:
    """What a field of filters or of sorting stands for.

    Attributes:
        sql: An expression. To be sorted by it must never be NULL.
        parse: A value of a filter as the expression has it.
        sort: What is sorted by instead, such as the key where rows were made in that order.
    """

    sql: str
    parse: Parse = text
    is_sortable: bool = True
    sort: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What can be listed, and by what.

    Attributes:
        key: The column of which there is one value a row.
        columns: By the names that the protocol has for them.
        maps: JSON objects: filters name a key in one as `<name>.<key>`.
        sort: The column that is sorted by where a request names none.
    """

    key: str
    columns: Mapping[str, Column]
    maps: Mapping[str, str] = field(default_factory=dict)
    sort: str = "created_at"
    is_descending: bool = True

    def query(
        self, request: ListRequest, conditions: Sequence[str] = (), parameters: Mapping[str, Any] | None = None
    ) -> Query:
        """The page that is asked for, of what also meets the conditions.

        Raises:
            InvalidRequestError: a field is unknown, or a value does not fit; the text names it and what is allowed.
        """
        if request.raw_filters:
            raise InvalidRequestError("raw_filters are not understood: use filters.")
        if len(request.sort_by_fields) > 1:
            raise InvalidRequestError("sort_by_fields has several fields: expected one.")
        where, values = self._filtered(request.filters)
        sort, is_descending = self._sorted(request)
        return Query(
            key=self.key,
            sort=self.columns[sort].sort or self.columns[sort].sql,
            is_descending=is_descending,
            conditions=[*conditions, *where],
            parameters={**(parameters or {}), **values},
            after=self._position(request.token, sort, is_descending),
            limit=page_size(request.limit),
        )

    def token(self, request: ListRequest, page: Page) -> str:
        """What to ask for the next page with; empty on the last one."""
        if page.next is None:
            return ""
        sort, is_descending = self._sorted(request)
        return urlsafe_b64encode(json.dumps([sort, is_descending, *page.next]).encode()).decode()

    def conditions_of(self, filters: Sequence[Filter]) -> tuple[list[str], dict[str, Any]]:
        """The conditions of filters, and their parameters.

        Raises:
            InvalidRequestError: as of `query`.
        """
        return self._filtered(filters)

    def _position(self, token: str, sort: str, is_descending: bool) -> Position | None:
        if not token:
            return None
        try:
            given_sort, given_direction, value, key = json.loads(urlsafe_b64decode(token[:_LONGEST_TEXT].encode()))
            is_ours = (given_sort, given_direction) == (sort, is_descending) and isinstance(key, int)
            if is_ours and isinstance(value, int | float | str) and abs(key) <= _MAX_INT:
                return (value if isinstance(value, str) or abs(value) <= _MAX_INT else 0), key
        except (ValueError, TypeError, Base64Error, RecursionError):
            pass
        raise InvalidRequestError(
            f"token {token[:60]!r} is none that this listing gave: pass the token of the page before, with the same "
            "sorting, or none for the first page."
        )

    def _sorted(self, request: ListRequest) -> tuple[str, bool]:
        sort: Sort = request.sort_by_fields[0] if request.sort_by_fields else request.sort_by
        if not sort.key:
            return self.sort, self.is_descending
        column = self.columns.get(sort.key)
        if column is None or not column.is_sortable:
            sortable = [name for name, each in self.columns.items() if each.is_sortable]
            raise InvalidRequestError(
                f"sort_by.key is {sort.key[:60]!r}: expected one of {', '.join(sortable)}."
                f"{near_name(sort.key[:60], sortable)}"
            )
        return sort.key, sort.direction != Sort.ASCENDING

    def _filtered(self, filters: Sequence[Filter]) -> tuple[list[str], dict[str, Any]]:
        if len(filters) > _MOST_FILTERS:
            raise InvalidRequestError(f"filters has {len(filters)} entries: expected at most {_MOST_FILTERS}.")
        conditions: list[str] = []
        parameters: dict[str, Any] = {}
        for index, each in enumerate(filters):
            column = self._column_of(each.field, f"p{index}", parameters)
            conditions.append(_condition(each, column, f"f{index}", parameters))
        return conditions, parameters

    def _column_of(self, name: str, parameter: str, parameters: dict[str, Any]) -> Column:
        if name in self.columns:
            return self.columns[name]
        owner, _, key = name.partition(".")
        if owner in self.maps and key:
            parameters[parameter] = text(key, f"the key in filter field {owner}")
            source = f"SELECT had.value FROM json_each({self.maps[owner]}) AS had WHERE had.key = :{parameter}"
            return Column(f"({source})")
        known = [*self.columns, *(f"{each}.<key>" for each in self.maps)]
        raise InvalidRequestError(
            f"filter field {name[:60]!r} is unknown: expected one of {', '.join(known)}.{near_name(name[:60], known)}"
        )


def page_size(limit: int) -> int:
    """The rows of a page.

    Raises:
        InvalidRequestError: more are asked for than can be.
    """
    if limit < 0 or limit > LARGEST_LIMIT:
        raise InvalidRequestError(f"limit is {limit}: expected 0, for the default, to {LARGEST_LIMIT}.")
    return min(limit or DEFAULT_LIMIT, LARGEST_PAGE)


_COMPARISONS = {
    Filter.EQUAL: "{column} = {value}",
    Filter.NOT_EQUAL: "{column} IS NOT {value}",
    Filter.GREATER_THAN: "{column} > {value}",
    Filter.GREATER_THAN_OR_EQUAL: "{column} >= {value}",
    Filter.LESS_THAN: "{column} < {value}",
    Filter.LESS_THAN_OR_EQUAL: "{column} <= {value}",
}
_OF_TEXTS = {
    Filter.CONTAINS: "instr({column}, {value})",
    Filter.CONTAINS_CASE_INSENSITIVE: "instr(lower({column}), lower({value}))",
    Filter.ENDS_WITH: "{value} = '' OR substr({column}, -length({value})) = {value}",
    Filter.NOT_ENDS_WITH: "{value} <> '' AND substr({column}, -length({value})) IS NOT {value}",
}
_OF_LISTS = {
    Filter.VALUE_IN: "{column} IN (SELECT value FROM json_each({value}))",
    Filter.VALUE_NOT_IN: "coalesce({column} NOT IN (SELECT value FROM json_each({value})), TRUE)",
}
_OF_PRESENCE = {Filter.EXISTS: "{column} IS NOT NULL", Filter.NOT_EXISTS: "{column} IS NULL"}


def _condition(wanted: Filter, column: Column, parameter: str, parameters: dict[str, Any]) -> str:
    where = f"filter {wanted.field[:60]!r}"
    if wanted.function in _OF_PRESENCE:
        return _OF_PRESENCE[wanted.function].format(column=column.sql)
    if len(wanted.values) > _MOST_VALUES:
        raise InvalidRequestError(f"{where} has {len(wanted.values)} values: expected at most {_MOST_VALUES}.")
    if wanted.function in _OF_LISTS:
        parameters[parameter] = json.dumps([column.parse(value, where) for value in wanted.values])
        return _OF_LISTS[wanted.function].format(column=column.sql, value=f":{parameter}")
    template = _COMPARISONS.get(wanted.function) or _OF_TEXTS.get(wanted.function)
    if template is None:
        raise InvalidRequestError(f"{where}: function {wanted.function} is unknown.")
    if len(wanted.values) != 1:
        raise InvalidRequestError(f"{where} has {len(wanted.values)} values: expected 1 for that function.")
    if wanted.function in _OF_TEXTS and column.parse is not text:
        raise InvalidRequestError(f"{where}: the field is no text, so it can only be compared or be in a list.")
    parameters[parameter] = column.parse(wanted.values[0], where)
    return template.format(column=column.sql, value=f":{parameter}")
