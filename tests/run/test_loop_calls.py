from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from flyte._controller.loop_calls import start_on


async def stubborn(started: asyncio.Event, ended: asyncio.Event) -> None:
    started.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise OSError("not like this") from None
    finally:
        ended.set()


async def test_an_error_that_nobody_waits_for_is_not_complained_of(caplog: pytest.LogCaptureFixture) -> None:
    started, ended = asyncio.Event(), asyncio.Event()
    future = start_on(asyncio.get_running_loop(), lambda: stubborn(started, ended))
    await started.wait()
    assert future.cancel()
    await ended.wait()
    await asyncio.sleep(0)
    del future
    gc.collect()
    assert caplog.records == []


async def test_another_thread_gets_the_result_or_the_error() -> None:
    loop = asyncio.get_running_loop()
    here = threading.get_ident()

    async def where(error: Exception | None) -> int:
        if error is not None:
            raise error
        return threading.get_ident()

    assert await asyncio.to_thread(lambda: start_on(loop, lambda: where(None)).result(10)) == here
    with pytest.raises(KeyError, match="k"):
        await asyncio.to_thread(lambda: start_on(loop, lambda: where(KeyError("k"))).result(10))
