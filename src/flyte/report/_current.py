"""The report of the running action, from anywhere in its code."""

from __future__ import annotations

from collections.abc import Callable

from flyte._context import ctx
from flyte.report._report import MAIN_TAB, Report, Tab


def current_report() -> Report:
    """The report of the running action; outside a task a new one that nobody will see."""
    context = ctx()
    return context.report if context else Report("dummy")


def get_tab(name: str, /, create_if_missing: bool = True) -> Tab:
    """The tab of that name in the current report, a new and empty one if there was none.

    Raises:
        ValueError: there is none, and `create_if_missing` is False.
    """
    return current_report().get_tab(name, create_if_missing)


# Not made with `syncify`: a plain call must work on the engine's loop too, where async tasks run, and must not wait
# for that loop.


class _Flush:
    """`report.html` in the output folder of the running action is the report as it is now; nothing outside a task.

    The plain call blocks until the file is on disk; `await flush.aio()` lets other tasks go on meanwhile.

    Raises:
        OSError: the page could not be written; the one before is still there.
        StorageError: it could not be written on remote storage.
    """

    def __call__(self) -> None:
        context = ctx()
        if context:
            from flyte.report._files import report_address, save_report

            save_report(context.report, report_address(context.output_path))

    async def aio(self) -> None:
        """The awaitable form."""
        import asyncio

        # The thread runs in a copy of this context, so it finds the same action.
        await asyncio.to_thread(self)


class _Change:
    """The HTML `content` in the main tab of the current report: below what was there (`log`), or alone (`replace`).

    It is on the page after the next flush, which is at once with `do_flush`, or when the attempt ends.

    Raises:
        TypeError: `content` is not text.
        OSError: the page could not be written.
    """

    def __init__(self, change: Callable[[Tab, str], None]) -> None:
        self._change = change

    def __call__(self, content: str, do_flush: bool = False) -> None:
        self._change(get_tab(MAIN_TAB), content)
        if do_flush:
            flush()

    async def aio(self, content: str, do_flush: bool = False) -> None:
        """The awaitable form."""
        self._change(get_tab(MAIN_TAB), content)
        if do_flush:
            await flush.aio()


flush = _Flush()
log = _Change(Tab.log)
replace = _Change(Tab.replace)
