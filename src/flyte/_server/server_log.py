"""What a server logs, and where."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

_FILE_BYTES = 10 << 20
_FILES = 3
_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


_CONTROLS = {number: repr(chr(number))[1:-1] for number in (*range(32), *range(127, 160), 0x2028, 0x2029)}
"""What is no text: requests name things, and none of them is to look like a line of its own."""


class JsonRecords(logging.Formatter):
    """Each record is one line of JSON, with whatever else it was given."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _ATTRIBUTES},
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str)


class TextRecords(logging.Formatter):
    """Each record is a line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the traceback where there is one."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        more = "".join(f" {name}={value}" for name, value in vars(record).items() if name not in _ATTRIBUTES)
        said = f"{record.getMessage()}{more}".translate(_CONTROLS)
        text = f"{time} {record.levelname.lower()} {record.name}: {said}"
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return text


def set_up_server_log(log_format: str, file: Path | None) -> None:
    """From here on this process logs in that form, to stderr or to a file that is rotated.

    Args:
        log_format: `console` or `json`.
        file: None for stderr.
    """
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        handler = RotatingFileHandler(file, maxBytes=_FILE_BYTES, backupCount=_FILES, encoding="utf-8")
    handler.setFormatter(JsonRecords() if log_format == "json" else TextRecords())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    ours = logging.getLogger("flyte")
    ours.handlers.clear()
    ours.propagate = True
    if not os.environ.get("LOG_LEVEL") and ours.level > logging.INFO:
        ours.setLevel(logging.INFO)
    # It says what this process says itself, and in its own words.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
