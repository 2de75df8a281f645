"""What a parent is told of its children."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from flyteidl2.common.identifier_pb2 import ActionIdentifier, RunIdentifier
from flyteidl2.core.execution_pb2 import ContainerError, ExecutionError
from flyteidl2.task.common_pb2 import Outputs
from flyteidl2.workflow.state_service_pb2 import ActionUpdate

from flyte._server.scheduler.states import DONE, TERMINAL, OpenAction
from flyte._store.records import ActionKind, ErrorRecord

_KINDS = {"user": ExecutionError.USER, "system": ExecutionError.SYSTEM}


def update_of(action: OpenAction) -> ActionUpdate:
    """Its state as it travels."""
    run, record = action.run, action.record
    update = ActionUpdate(
        action_id=ActionIdentifier(
            run=RunIdentifier(org=run.org, project=run.project, domain=run.domain, name=run.name), name=record.name
        ),
        phase=record.phase,
        # Also before there is anything: official workers warn of each update without one.
        output_uri=action.output_uri,
    )
    if record.error is not None and record.phase in TERMINAL:
        update.error.CopyFrom(_error(ErrorRecord.from_json(record.error)))
    if record.kind == ActionKind.CONDITION and record.outputs is not None:
        update.value.CopyFrom(Outputs.FromString(record.outputs).literals[0].value)
    return update


def _error(error: ErrorRecord) -> ExecutionError:
    return ExecutionError(
        code=error.code,
        message=error.message,
        kind=_KINDS.get(error.kind, ExecutionError.UNKNOWN),
        worker=error.worker or "",
        # It has had its tries; another call of the same name is another matter.
        recoverability=ContainerError.NON_RECOVERABLE,
    )


class ChildWatchers:
    """The streams that tell parents of their children. Lives on the server's loop."""

    def __init__(self) -> None:
        self._streams: dict[OpenAction, set[_Stream]] = {}

    @property
    def streams(self) -> int:
        """How many there are."""
        return sum(map(len, self._streams.values()))

    def tell(self, child: OpenAction) -> None:
        """What `published` says of the child goes to those who watch its parent."""
        assert child.parent is not None
        for stream in self._streams.get(child.parent, ()):
            stream.pending[child] = None
            stream.wakes.set()

    def ended(self, parent: OpenAction) -> None:
        """Nothing more is told to those who watch it."""
        for stream in self._streams.get(parent, ()):
            stream.is_over = True
            stream.wakes.set()

    async def watch(self, parent: OpenAction) -> AsyncIterator[ActionUpdate | None]:
        """The state of each child, then None, then changes, until the parent has ended."""
        stream = _Stream()
        self._streams.setdefault(parent, set()).add(stream)
        try:
            for child in list(parent.children.values()):
                if child.published is not None and _counts(parent, child):
                    yield child.published
            yield None
            while True:
                while stream.pending:
                    child = next(iter(stream.pending))
                    del stream.pending[child]
                    if child.published is not None:
                        yield child.published
                if stream.is_over or not parent.is_open:
                    return
                stream.wakes.clear()
                await stream.wakes.wait()
        finally:
            streams = self._streams[parent]
            streams.discard(stream)
            if not streams:
                del self._streams[parent]


class _Stream:
    """Children whose state is to be told; of one that changes twice before that, only the last is."""

    __slots__ = ("is_over", "pending", "wakes")

    def __init__(self) -> None:
        self.pending: dict[OpenAction, None] = {}
        self.wakes = asyncio.Event()
        self.is_over = False


def _counts(parent: OpenAction, child: OpenAction) -> bool:
    """Whether a new stream tells of a child.

    One that failed under an earlier attempt of its parent is called again, as a call in a local run would; told of the
    failure, the attempt would take it for the outcome of a call that it has not made.
    """
    if child.record.phase in DONE or child.is_open:
        return True
    return (parent.run.is_external and parent.parent is None) or child.called_in == parent.record.attempt_no
