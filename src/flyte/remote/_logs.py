"""What attempts print, as it comes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC
from typing import Any, cast

from flyteidl2.cluster.payload_pb2 import SelectClusterRequest
from flyteidl2.common.identifier_pb2 import ActionIdentifier
from flyteidl2.dataproxy.dataproxy_service_pb2 import TailLogsRequest, TailLogsResponse
from flyteidl2.logs.dataplane.payload_pb2 import SYSTEM, LogLine

from flyte._rpc.failures import NOT_FOUND, UNAVAILABLE
from flyte._rpc.retries import delay_s
from flyte._rpc.settings import current_session
from flyte.errors import LogsNotYetAvailableError, UnionRpcError
from flyte.remote._action_details import ActionDetails
from flyte.remote._clusters import session_for

_NOT_YET_RETRIES = 5
_NOT_YET_S = 2.0
_RETRIES = 15


async def tail(
    details: ActionDetails, attempt: int | None, *, filter_system: bool = False, show_ts: bool = False
) -> AsyncGenerator[str, None]:
    """The lines of the log of an attempt, without their ends, until the attempt has ended.

    Where the connection breaks, it goes on behind the last line.

    Args:
        details: Of the action.
        attempt: Its number, from 1; default the last one.
        filter_system: Leave out lines that are not of the task's own code.
        show_ts: The time stands before each line.

    Raises:
        LogsNotYetAvailableError: the action has not started, or its log is gone.
    """
    number = attempt or await _started(details)
    seen = retry_no = missing = 0
    while True:
        skip = seen
        try:
            async with aclosing(cast("Any", _lines(details.action_id, number))) as lines:
                async for line in lines:
                    retry_no = missing = 0
                    if skip:
                        skip -= 1
                        continue
                    seen += 1
                    if not (filter_system and line.originator == SYSTEM):
                        yield _text(line, show_ts=show_ts)
            return
        except UnionRpcError as error:
            if error.code == NOT_FOUND:
                missing += 1
                if missing > _NOT_YET_RETRIES:
                    raise _no_log(details, number, str(error)) from error
                if details.done():
                    raise _no_log(details, number, str(error)) from error
                await asyncio.sleep(_NOT_YET_S)
            elif error.code == UNAVAILABLE and retry_no < _RETRIES:
                await asyncio.sleep(delay_s(retry_no))
                retry_no += 1
            else:
                raise


async def show(
    details: ActionDetails,
    attempt: int | None,
    *,
    max_lines: int,
    show_ts: bool,
    raw: bool,
    filter_system: bool,
) -> None:
    """The log is printed: all lines as they come with `raw`, else the last ones of what there is when it ends."""
    kept: list[str] = []
    async for line in tail(details, attempt, filter_system=filter_system, show_ts=show_ts):
        if raw:
            print(line, file=sys.stdout, flush=True)
        else:
            kept.append(line)
            del kept[:-max_lines]
    for line in kept:
        print(line, file=sys.stdout)


async def _started(details: ActionDetails) -> int:
    """The number of the last attempt, once there is one."""
    attempts = details.attempts
    if not attempts and not details.done():
        async for now in details.watch_updates():
            attempts = now.attempts
            if attempts and (now.logs_available() or now.done()):
                break
    if not attempts:
        raise LogsNotYetAvailableError(
            f"action {details.run_name}/{details.name} is {details.phase.value} and was never started: it has no log."
        )
    return attempts


async def _lines(action_id: ActionIdentifier, attempt: int) -> AsyncIterator[LogLine]:
    operation = SelectClusterRequest.OPERATION_TAIL_LOGS
    server = await session_for(current_session(), operation, action_id=action_id)
    stream: AsyncIterator[TailLogsResponse] = server.data.tail_logs(
        TailLogsRequest(action_id=action_id, attempt=attempt)
    )
    async with aclosing(cast("Any", stream)) as answers:
        async for answer in answers:
            for logs in answer.logs:
                for line in logs.lines:
                    yield line


def _text(line: LogLine, *, show_ts: bool) -> str:
    text = line.message.removesuffix("\n")
    if not show_ts:
        return str(text)
    moment = line.timestamp.ToDatetime(tzinfo=UTC)
    return f"{moment.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z {text}"


def _no_log(details: ActionDetails, attempt: int, why: str) -> LogsNotYetAvailableError:
    return LogsNotYetAvailableError(
        f"attempt {attempt} of action {details.run_name}/{details.name} ({details.phase.value}) has no log: {why}"
    )
