"""Tasks that tests run on a control plane."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import flyte
from flyte.io import Dir, File

env = flyte.TaskEnvironment("digits", env_vars={"A": "1"}, image="python:3.11", description="Some digits.")


@dataclass
class Settings:
    """Where data is, and how often."""

    source: File
    times: int


@env.task
async def double(x: int, y: str = "a") -> int:
    """Twice as much.

    Args:
        x: The number.
        y: Not used.
    """
    return 2 * x


@env.task
async def two(x: int) -> tuple[int, str]:
    return x, str(x)


@env.task
async def nothing() -> None: ...


@env.task
async def read(source: File, folder: Dir, more: list[File]) -> str:
    return source.path


@env.task
async def configured(settings: Settings) -> Settings:
    return settings


@env.task(
    triggers=(
        flyte.Trigger(
            "noon",
            flyte.Cron("0 12 * * *", timezone="Europe/Berlin"),
            inputs={"at": flyte.TriggerTime, "y": "k"},
            description="At noon",
            custom_context={"c": "d"},
        ),
        flyte.Trigger("rate", flyte.FixedRate(5), inputs={"at": datetime(2026, 1, 1)}, auto_activate=False),
    )
)
async def timed(at: datetime, y: str = "a") -> timedelta:
    return timedelta()
