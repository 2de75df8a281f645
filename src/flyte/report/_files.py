"""Where the page of an action is, and writing it."""

from __future__ import annotations

from pathlib import Path

from flyte.report._report import Report

REPORT_FILE = "report.html"


def report_path(output_path: str | Path) -> Path:
    """Where the page of the action with this output path is, or would be.

    Raises:
        NotImplementedError: the output path is on remote storage.
    """
    scheme, separator, rest = str(output_path).partition("://")
    if separator and scheme != "file":
        raise NotImplementedError(
            f"the report would go below {str(output_path)!r}, on remote storage ({scheme}), where reports cannot be "
            f"written yet. Give the run a `run_base_dir` on this machine."
        )
    return Path(rest if separator else output_path) / REPORT_FILE


def write_report(report: Report, output_path: str | Path) -> Path | None:
    """The page of the action with this output path is that of `report`; returns where, None if it has no page.

    An empty report makes no page, and replaces one that a flush, or an earlier attempt, has written.

    Raises:
        OSError: the page could not be written.
        NotImplementedError: the output path is on remote storage.
    """
    path = report_path(output_path)
    if not report.has_content() and not path.exists():
        return None
    report.save(path)
    return path
