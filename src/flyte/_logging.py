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


def _level(variable: str, default: int) -> int:
    """The level in `variable`: a number, or a name such as `debug`."""
    text = os.environ.get(variable, "").strip().upper()
    return int(text) if text.isdigit() else logging.getLevelNamesMapping().get(text, default)


def _configured(name: str, variable: str, default: int) -> logging.Logger:
    """The logger `name` at the level in `variable`."""
    logger = logging.getLogger(name)
    level = _level(variable, default)
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


_SYSTEM = "LOG_LEVEL", logging.WARNING
_USER = "USER_LOG_LEVEL", logging.INFO

system_logger = _configured("flyte", *_SYSTEM)
logger = _configured("flyte.user", *_USER)


def read_log_levels() -> None:
    """The two loggers have the levels that the environment, which has changed, names now."""
    set_log_levels(_level(*_SYSTEM), _level(*_USER))


def set_log_levels(log_level: int | None, user_log_level: int | None) -> None:
    """The two loggers have these levels, as `logging` numbers them; None keeps one."""
    for each, level in ((system_logger, log_level), (logger, user_log_level)):
        if level is not None:
            each.setLevel(level)
