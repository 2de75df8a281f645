"""The body of a task in the process of its attempt."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte._controller.hooks import has_hooks, run_with_hooks
from flyte._controller.limits import check_inline_size
from flyte._worker.termination import Termination

_LEFTOVERS_S = 1.0
"""So long may what a task left on its loop take to be cancelled."""

_reserve = [bytearray(1 << 20)]
"""Memory to free first, where there is no more."""


def run_body(task: Any, inputs: Inputs, termination: Termination) -> Outputs:
    """What the task returns for these inputs, as it travels.

    Raises:
        RuntimeDataValidationError: the inputs or what it returned are of another type.
        InlineIOMaxBytesBreached: what it returned is too large.
        AttemptTerminated: the process was told to end while a sync task ran.
        BaseException: what the task raised.
    """
    with memory_freed():
        kwargs = task.codec.decode_inputs(inputs)
        if has_hooks(task):
            value = _run_to_end(run_with_hooks(task, kwargs), termination)
        elif task.is_async:
            value = _run_to_end(task.func(**kwargs), termination)
        else:
            with termination.raises():
                value = task.func(**kwargs)
        outputs: Outputs = task.codec.encode_outputs(value)
        check_inline_size(task, "outputs", outputs.ByteSize())
        return outputs


def _run_to_end(body: Coroutine[Any, Any, Any], termination: Termination) -> Any:
    """What the coroutine returns, on a loop of its own.

    Unlike `asyncio.run` it does not wait for threads that the body has left behind, nor for ever for its tasks.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    task = loop.create_task(_freeing(body))
    try:
        with termination.cancels(task):
            return loop.run_until_complete(task)
    finally:
        loop.run_until_complete(_cancel_leftovers())
        loop.close()


async def _freeing(body: Coroutine[Any, Any, Any]) -> Any:
    with memory_freed():  # The loop itself needs some.
        return await body


@contextmanager
def memory_freed() -> Iterator[None]:
    """Where the block ends for lack of memory, there is enough afterwards to say so."""
    try:
        yield
    except MemoryError as error:
        _reserve.clear()
        # What filled the memory is in the variables of the frames that the error came through.
        traceback.clear_frames(error.__traceback__)
        raise


async def _cancel_leftovers() -> None:
    leftovers = asyncio.all_tasks() - {asyncio.current_task()}
    for each in leftovers:
        each.cancel()
    if leftovers:
        await asyncio.wait(leftovers, timeout=_LEFTOVERS_S)
    await asyncio.wait([asyncio.create_task(asyncio.get_running_loop().shutdown_asyncgens())], timeout=_LEFTOVERS_S)
