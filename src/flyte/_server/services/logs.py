"""`RunLogsService`: logs as pages ask for them. Their lines are those of `DataProxyService.TailLogs`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from flyteidl2.logs.dataplane.payload_pb2 import LogLine as LogLineMessage
from flyteidl2.logs.dataplane.payload_pb2 import LogLineOriginator
from flyteidl2.workflow.run_logs_service_pb2 import TailLogsRequest, TailLogsResponse

from flyte._controller.log_files import LogLine
from flyte._server.codes import Context
from flyte._server.log_tails import AttemptKey, LogTails
from flyte._server.services.identifiers import action_names_of


class RunLogsService:
    """Streams logs."""

    def __init__(self, tails: LogTails) -> None:
        self._tails = tails

    async def tail_logs(self, request: TailLogsRequest, ctx: Context) -> AsyncIterator[TailLogsResponse]:
        """The lines of an attempt until it has ended."""
        key = AttemptKey(*action_names_of(request.action_id), request.attempt)
        async with aclosing(self._tails.tail(key)) as batches:
            async for lines in batches:
                logs = [TailLogsResponse.Logs(lines=map(log_line_message, lines))] if lines else []
                yield TailLogsResponse(logs=logs)


def log_line_message(line: LogLine) -> LogLineMessage:
    """A line as the protocol has it."""
    message = LogLineMessage(message=f"{line.text}\n", originator=LogLineOriginator.USER)
    try:
        message.timestamp.FromJsonString(line.time)
    except ValueError:
        # The task has written to its log itself.
        message.ClearField("timestamp")
    return message
