"""The two loggers: `flyte.user` for tasks, `flyte` for this package. Levels come from the environment."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from typing import Any


class _StandardErrorHandler(logging.Handler):
    """Writes to what `sys.stderr` is at that moment: it is redirected by tests and by live displays."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(f"{self.format(record)}\n")
        except Exception:
            self.handleError(record)


def _configured(name: str, variable: str, default: int) -> logging.Logger:
    """The logger `name` at the level in `variable`: a number, or a name such as `debug`."""
    logger = logging.getLogger(name)
    text = os.environ.get(variable, "").strip().upper()
    level = int(text) if text.isdigit() else logging.getLevelNamesMapping().get(text, default)
    if logger.level == logging.NOTSET:
        logger.setLevel(level)
    if not logger.handlers and name == "flyte":
        handler = _StandardErrorHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
    return logger


def stream_handlers() -> Iterator[logging.StreamHandler[Any]]:
    """The handlers of all loggers that write to a stream."""
    for logger in (logging.getLogger(), *list(logging.root.manager.loggerDict.values())):
        for handler in getattr(logger, "handlers", ()):
            if isinstance(handler, logging.StreamHandler):
                yield handler


system_logger = _configured("flyte", "LOG_LEVEL", logging.WARNING)
logger = _configured("flyte.user", "USER_LOG_LEVEL", logging.INFO)


def set_log_levels(log_level: int | None, user_log_level: int | None) -> None:
    """The two loggers have these levels, as `logging` numbers them; None keeps one."""
    for each, level in ((system_logger, log_level), (logger, user_log_level)):
        if level is not None:
            each.setLevel(level)
