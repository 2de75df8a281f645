"""What a server logs."""

from __future__ import annotations

import logging
from pathlib import Path

from flyte._server.server_log import TextRecords


def record(message: str, *arguments: object, **more: object) -> logging.LogRecord:
    """A record of the server."""
    made = logging.LogRecord("flyte.server.access", logging.INFO, __file__, 1, message, arguments, None)
    vars(made).update(more)
    return made


def test_nothing_that_a_request_names_looks_like_a_line_of_its_own() -> None:
    path = "/v2/x\n2026-01-01 00:00:00 info flyte.server.access: POST /y 200\r\x1b[2K\x85\u2028"
    text = TextRecords().format(record("%s %s", "GET", path, peer="a\nb"))
    assert text.splitlines() == [text]
    assert text.isprintable()
    assert "GET /v2/x\\n2026-01-01" in text
    assert text.endswith("peer=a\\nb")


def test_a_traceback_is_below_its_line(tmp_path: Path) -> None:
    try:
        (tmp_path / "nothing").read_text()
    except FileNotFoundError as error:
        failed = record("it failed")
        failed.exc_info = (type(error), error, error.__traceback__)
    first, second, *_ = TextRecords().format(failed).splitlines()
    assert first.endswith("it failed")
    assert second.startswith("Traceback")
