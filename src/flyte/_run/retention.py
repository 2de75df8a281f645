"""Deleting old runs by themselves, as the configuration says."""

from __future__ import annotations

import time
from pathlib import Path

from flyte._engine.retention import Retention, too_many_or_too_old
from flyte._logging import system_logger
from flyte._run.initialization import settings
from flyte._store.reader import StoreReader
from flyte.errors import BaseRuntimeError

EVERY_S = 24 * 3600.0
WITHIN_S = 1.0
"""How long the run that is about to start may be held up. What is not deleted by then is the next one's turn."""

_STAMP = "retention.stamp"
_DAY_US = 24 * 3600 * 1_000_000


def apply_retention(home: Path) -> None:
    """Runs that are too old or too many are gone; looked at once a day. A failure is logged, and not the run's."""
    stamp = home / _STAMP
    try:
        if time.time() - stamp.stat().st_mtime < EVERY_S:
            return
    except OSError:
        # Never done yet.
        pass
    try:
        if _delete_expired(home, configured()):
            stamp.touch()
    except (BaseRuntimeError, OSError) as error:
        system_logger.warning("old runs were not deleted: %s", error)


def configured() -> Retention:
    """The bounds that are configured, by `init_from_config` or where a file is found."""
    from flyte.config import auto

    local = settings().local or auto().local
    return Retention(
        None if local.retention_days is None else round(local.retention_days * _DAY_US), local.retention_runs
    )


def _delete_expired(home: Path, retention: Retention) -> bool:
    if retention.keeps_all:
        return True
    from flyte._run.deleting import delete_runs, run_ages

    with StoreReader(home) as reader:
        expired = too_many_or_too_old(run_ages(reader), retention, time.time_ns() // 1000)
        # Oldest first: what is cut short has kept the newest.
        runs = [run for run_id in reversed(expired) if (run := reader.find_run(run_id)) is not None]
    return delete_runs(home, runs, WITHIN_S).is_finished
