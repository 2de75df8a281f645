"""Where the page of an action is, and writing it."""

from __future__ import annotations

from pathlib import Path

from flyte.report._report import Report
from flyte.storage._addresses import absolute, is_remote, join, local_path
from flyte.storage._backend import backend_of

REPORT_FILE = "report.html"


def report_address(output_path: str | Path) -> str:
    """Where the page of the action with this output path is, or would be."""
    return join(absolute(str(output_path)).rstrip("/"), REPORT_FILE)


def report_path(output_path: str | Path) -> Path:
    """The same as a path, for an output path on this machine."""
    return local_path(report_address(output_path))


def write_report(report: Report, output_path: str | Path) -> str | None:
    """The page of the action with this output path is that of `report`; returns where, None if it has no page.

    An empty report makes no page, and replaces one that a flush, or an earlier attempt, has written.

    Raises:
        OSError: the page could not be written.
        StorageError: it could not be written on remote storage.
    """
    address = report_address(output_path)
    if not report.has_content() and backend_of(address).find(address) is None:
        return None
    save_report(report, address)
    return address


def save_report(report: Report, address: str) -> None:
    """The page at an address is the report as it is now, whole; of two saves of one report the later one stays.

    Raises:
        OSError: the page could not be written.
        StorageError: it could not be written on remote storage.
    """
    if is_remote(address):
        report.save_as(lambda page: backend_of(address).write(address, page))
    else:
        report.save(local_path(address))
