"""The named SQL statements of `statements.sql`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def _statements() -> dict[str, str]:
    text = files(__package__).joinpath("statements.sql").read_text(encoding="utf-8")
    named = {}
    for block in text.split("-- name: ")[1:]:
        name, _, body = block.partition("\n")
        lines = (line for line in body.splitlines() if not line.lstrip().startswith("--"))
        named[name.strip()] = "\n".join(lines).strip().rstrip(";")
    return named


def statement(name: str) -> str:
    """The SQL text filed under `name`."""
    return _statements()[name]
