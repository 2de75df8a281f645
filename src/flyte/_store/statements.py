"""The named SQL statements of `statements*.sql`."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_FILE = re.compile(r"statements[a-z_]*\.sql")


@cache
def _statements() -> dict[str, str]:
    entries = (entry for entry in files(__package__).iterdir() if _FILE.fullmatch(entry.name))
    text = "\n".join(entry.read_text(encoding="utf-8") for entry in entries)
    named = {}
    for block in text.split("-- name: ")[1:]:
        name, _, body = block.partition("\n")
        lines = (line for line in body.splitlines() if not line.lstrip().startswith("--"))
        named[name.strip()] = "\n".join(lines).strip().rstrip(";")
    return named


def statement(name: str) -> str:
    """The SQL text filed under `name`."""
    return _statements()[name]
