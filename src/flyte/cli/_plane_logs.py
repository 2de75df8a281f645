"""`flyte get logs` of a run on a control plane."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any

from flyte.cli._documents import print_document
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
from flyte.cli._terminal import note, paint

_ROOT = "a0"
_QUIET_S = 0.5
"""A running attempt that has said nothing for so long has said what there is now."""


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines to show, and how.

    Attributes:
        action_name: None means every action of the run; on a control plane, its root action.
        attempt_no: None means the last attempt of one action, and every attempt of a run.
        line_count: Only so many, the last ones; None shows all.
        tasks_alone: Without lines that are not of the tasks' own code.
    """

    run_name: str
    action_name: str | None = None
    attempt_no: int | None = None
    line_count: int | None = None
    shows_time: bool = False
    tasks_alone: bool = False


def show_plane_logs(query: LogQuery, output: OutputFormat) -> None:
    """The lines of an attempt, as many as there are now."""
    details = _details(query)
    number = query.attempt_no or details.attempts
    lines = list(_last(query, _run(_present_lines(details, number, query)))) if details.attempts else []
    if output.is_document:
        what = {"action": details.name, "attempt": number}
        print_document([{"time": time, **what, "line": text} for time, text in lines], output)
    elif lines:
        for line in lines:
            print_line(query, line)
        sys.stdout.flush()
    else:
        note(f"There is nothing that attempt {number} of action {details.name} has printed.")


def follow_plane_logs(query: LogQuery) -> None:
    """All lines of an action as they come, one attempt after the other, until it has ended; or of one attempt."""
    details = _details(query)
    shown = query
    if query.line_count is not None and details.attempts:
        # What there is now is cut; what comes is not.
        there = _run(_present_lines(details, query.attempt_no or details.attempts, query))
        for line in list(there)[-query.line_count :]:
            print_line(query, line)
        sys.stdout.flush()
        shown = replace(query, line_count=len(there))
    _run(follow_action(details, shown))


async def follow_action(
    details: Any, query: LogQuery, show: Callable[[LogQuery, tuple[str, str]], None] | None = None
) -> None:
    """The lines of an action are shown as they come, until it has ended.

    Args:
        details: Of the action; it has ended in them when this returns.
        query: `attempt_no` follows one attempt alone; of the first one, `line_count` lines were shown already.
        show: Shows a line.
    """
    show = show or print_line
    skip = query.line_count or 0
    number = query.attempt_no or max(details.attempts if skip else 1, 1)
    while await _has_begun(details, number):
        async with aclosing(_lines(details, number, query)) as lines:  # type: ignore[type-var]
            async for line in lines:
                if skip:
                    skip -= 1
                    continue
                show(query, line)
                sys.stdout.flush()
        skip = 0
        if query.attempt_no is not None:
            return
        number += 1


def print_line(query: LogQuery, line: tuple[str, str]) -> None:
    """A line on stdout, with its time where that is wanted."""
    time, text = line
    head = f"{time} " if query.shows_time else ""
    print(f"{paint(head, sys.stdout, dim=True)}{text}")


async def _has_begun(details: Any, number: int) -> bool:
    """Whether there is an attempt of that number, once that is sure; `details` are of then."""
    if details.attempts >= number and (details.logs_available(number) or details.done()):
        return True
    if not details.done():
        async with aclosing(details.watch_updates()) as updates:
            async for each in updates:
                if each.attempts >= number and (each.logs_available(number) or each.done()):
                    return True
    return bool(details.attempts >= number)


async def _lines(details: Any, number: int, query: LogQuery) -> AsyncIterator[tuple[str, str]]:
    from flyte.errors import LogsNotYetAvailableError
    from flyte.remote._logs import tail

    with suppress(LogsNotYetAvailableError):
        async with aclosing(tail(details, number, filter_system=query.tasks_alone, show_ts=True)) as lines:
            async for line in lines:
                time, _, text = line.partition(" ")
                yield time, text


async def _present_lines(details: Any, number: int, query: LogQuery) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    async def collect() -> None:
        async with aclosing(_lines(details, number, query)) as lines:  # type: ignore[type-var]
            async for line in lines:
                # One by one: what was collected counts, also where the rest does not come.
                found.append(line)  # noqa: PERF401

    collecting = asyncio.create_task(collect())
    try:
        count = -1
        while not collecting.done() and (details.done() or len(found) > count):
            count = len(found)
            await asyncio.wait((collecting,), timeout=_QUIET_S)
        if collecting.done():
            collecting.result()
    finally:
        collecting.cancel()
        with suppress(asyncio.CancelledError):
            await collecting
    return found


def _last(query: LogQuery, lines: list[tuple[str, str]]) -> deque[tuple[str, str]]:
    return deque(lines, maxlen=query.line_count)


def _details(query: LogQuery) -> Any:
    from flyte.cli._plane import connect
    from flyte.cli._plane_records import PlaneRecords
    from flyte.remote import ActionDetails

    connect()
    records = PlaneRecords()
    run = records.load_run(query.run_name)
    records.load_action(run, query.action_name or _ROOT)
    details = ActionDetails.get(run_name=query.run_name, name=query.action_name or _ROOT)
    last = details.attempts
    if query.attempt_no is not None and query.attempt_no > last:
        raise CommandError(
            f"action {details.name} of run {query.run_name} has no attempt {query.attempt_no}: its last one is {last}."
        )
    return details


def _run(work: Any) -> Any:
    from flyte.syncify import syncify

    return syncify.run_blocking(work)
