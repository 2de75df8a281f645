"""The official client, and task processes of the official release, work with our server.

They are asked where `FLYTE_OFFICIAL_PYTHON` names an interpreter that has the release.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from conformance import official_client
from conformance.official_client import MODULES, Outcome, names_of, outcomes, table

official = pytest.mark.skipif("FLYTE_OFFICIAL_PYTHON" not in os.environ, reason="FLYTE_OFFICIAL_PYTHON is not set")


@official
def test_every_scenario_of_the_official_client_passes(tmp_path: Path) -> None:
    python = Path(os.environ["FLYTE_OFFICIAL_PYTHON"]).absolute()
    rows = list(outcomes(python, tmp_path, (), network=False))
    assert not [row for row in rows if not row.passed]
    assert len(rows) >= 60


def test_every_scenario_of_the_programs_is_listed_once() -> None:
    programs = [official_client.FOLDER / "programs" / f"{module}.py" for module in MODULES]
    declared = sum(len(re.findall(r"^@scenario$", program.read_text(), re.MULTILINE)) for program in programs)
    names = names_of(MODULES)
    assert len(set(names)) == len(names) == declared > 40


def test_table_tells_what_failed_and_why() -> None:
    rows = [Outcome("cache hit", 1.0), Outcome("maps", 2.0, why="ValueError:\n three")]
    lines = list(table(rows))
    assert "passed" in lines[1]
    assert lines[2].endswith("| FAILED |    2.00 | ValueError: three")
    assert lines[-1] == "1 of 2 scenarios passed."


def test_scenario_that_raises_has_failed() -> None:
    def fails() -> str:
        raise KeyError("x")

    assert (official_client.timed("a", fails).why, official_client.timed("b", lambda: "1 s").figures) == (
        "KeyError: 'x'",
        "1 s",
    )
