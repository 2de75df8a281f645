"""How the process of an attempt writes what is logged."""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Callable
from datetime import UTC, datetime

from flyte._logging import logger, system_logger
from flyte.errors import RuntimeUserError

FORMAT_VARIABLE = "LOG_FORMAT"
RESET_VARIABLE = "FLYTE_RESET_ROOT_LOGGER"
_FORMATS = ("console", "json")


Names = Callable[[], tuple[str, str]]
"""The run and the action that a line is of."""


def set_up_logs(names: Names) -> None:
    """Lines have the form that `LOG_FORMAT` names.

    With `FLYTE_RESET_ROOT_LOGGER=1` all other loggers write as `flyte` does, from its level on, in place of what
    handlers the root logger had.

    Raises:
        RuntimeUserError: code `InvalidArgument`; there is no such form.
    """
    form = os.environ.get(FORMAT_VARIABLE) or "console"
    if form not in _FORMATS:
        raise RuntimeUserError("InvalidArgument", f"{FORMAT_VARIABLE} is {form!r}: expected {' or '.join(_FORMATS)}.")
    handlers = list(system_logger.handlers)
    if form == "json":
        for handler in handlers:
            handler.setFormatter(JsonLines(names))
    if os.environ.get(RESET_VARIABLE) == "1":
        root = logging.getLogger()
        root.handlers[:] = handlers
        root.setLevel(system_logger.level)
        # What is logged there gets to the root logger.
        system_logger.handlers.clear()


class JsonLines(logging.Formatter):
    """Each record is one line of JSON.

    Args:
        names: Are in each line.
    """

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        run_name, action_name = self._names()
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "filename": record.filename,
            "lineno": record.lineno,
            "funcName": record.funcName,
            "run_name": run_name,
            "action_name": action_name,
            "is_flyte_internal": f"{record.name}.".startswith("flyte.") and record.name != logger.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exc_info"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str)
